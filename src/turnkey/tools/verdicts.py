"""What the verifying tools share: a variant of a state, its file, and the reference outputs of the build."""

from __future__ import annotations

from dataclasses import replace

from turnkey.formats import find_format
from turnkey.formats.onnx_export import EXPORTERS
from turnkey.host import fair_threads
from turnkey.model.samples import SampleSet, write_samples
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State, Variant
from turnkey.runtimes.file_verifier import verify_file
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.verify import Tolerances, precision_of


def stored_as(variant: Variant) -> str:
    """The format in which runtimes see the variant's file: ``onnx`` for every ONNX file."""
    if variant.path.endswith(".onnx"):  # without importing the exporter, and with it torch
        return "onnx"
    return find_format(variant.format).stored_as


def keep_reference_outputs(state: State, reference: Reference) -> tuple[State, SampleSet]:
    """Complete the captured samples by the source model's outputs, in the state and in ``samples/``.

    A build whose model is neither in memory nor a file keeps the outputs that it has.
    """
    samples = reference.source.samples
    if not reference.can_run or all(output is not None for output in samples.outputs):
        return state, samples
    complete = reference.with_outputs(samples)
    if complete.structure is None or complete.structure.is_portable:
        write_samples(complete, BuildPaths(state.cache_dir, state.build_name).samples)
    else:
        print("the samples are not kept in samples/: the call takes an object that cannot be written to a file")
    if state.model is not None:
        state = replace(state, model=replace(state.model, samples=complete))
    return state, complete


def variant_verification(
    state: State, variant: Variant, reference: Reference, tolerances: Tolerances
) -> VariantVerification:
    """Verify one variant of a state on all samples of the reference's source."""
    ancestor = state.variant(variant.lineage[0]) if variant.lineage else variant
    exported = state.build_dir / ancestor.path if ancestor.exporter in EXPORTERS else None
    return verify_file(
        reference,
        key=variant.key,
        path=state.build_dir / variant.path,
        stored_as=stored_as(variant),
        exported=exported,
        tolerances=replace(tolerances, precision=precision_of(variant.key)),
        threads=fair_threads(),
    )
