"""Inputs of other batch sizes for the candidates of a build, made from the captured ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from turnkey.errors import UsageError
from turnkey.model.samples import SampleSet
from turnkey.model.signature import Signature, TensorSpec
from turnkey.pipeline.stored_form import stored_as
from turnkey.runtimes.file_verifier import signature_of
from turnkey.runtimes.reference import Reference
from turnkey.tools.candidates import Candidate
from turnkey.verify import batch_size
from turnkey.verify.batch import batch_symbol, resized

_BATCH = "batch"


def free_batch(candidates: Sequence[Candidate], samples: SampleSet) -> tuple[list[Candidate], Signature]:
    """The candidates whose batch size is free, and which axes of the inputs carry it.

    A file says that itself. Where no file is among them, the batch is the first extent of the first input, and of
    every input whose first extent is the same.

    Raises:
        UsageError: none of the candidates takes another batch size.
    """
    free, fixed = [], []
    signature: Signature | None = None
    for candidate in candidates:
        if candidate.variant is None or candidate.path is None:
            free.append(candidate)
            continue
        found = signature_of(candidate.path, stored_as(candidate.variant))
        if batch_symbol(found) is None:
            fixed.append(candidate.key)
        else:
            free.append(candidate)
            signature = signature or found
    signature = signature or _by_extent(samples)
    if not free or batch_symbol(signature) is None:
        raise UsageError(
            "there is no batch size to vary",
            evidence=f"fixed in: {', '.join(fixed)}" if fixed else f"inputs: {', '.join(samples.inputs[0])}",
            remedy="leave the batch axis free: export-pytorch --dynamic INPUT:0; load-onnx without --dim",
        )
    for key in fixed:
        print(f"{key} is not measured: the batch size of its file is fixed", flush=True)
    return free, signature


def samples_at(batch: int, samples: SampleSet, signature: Signature, reference: Reference) -> SampleSet:
    """The samples with another batch size, and the source model's outputs for them where it can be run.

    Raises:
        ModelError: the source model does not take this batch size.
    """
    inputs = tuple(resized(sample, signature, batch) for sample in samples.inputs)
    made = replace(samples, inputs=inputs, outputs=(None,) * len(inputs))
    return reference.with_outputs(made) if reference.can_run else made


def _by_extent(samples: SampleSet) -> Signature:
    sample = samples.inputs[0]
    current = batch_size(sample)
    return Signature(
        inputs=tuple(
            TensorSpec(
                name=name,
                dtype=str(array.dtype),
                shape=(_BATCH, *array.shape[1:]) if array.shape[:1] == (current,) else array.shape,
            )
            for name, array in sample.items()
        )
    )
