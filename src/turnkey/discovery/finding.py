"""From what the observer saw to what users see: replay, hash and describe every (model, signature).

Runs after the script, with the observer gone. Each distinct (model, signature) is called once more on its first
sample; what that call prints or warns of is not the script's output and is dropped.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from turnkey.discovery.arguments import size_bytes
from turnkey.discovery.invocation import Invocation
from turnkey.discovery.listing import FoundModel
from turnkey.model.hash import ModelHash, replay_hash, weights_hash
from turnkey.model.replay import Replay, replay
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.signature import TensorSpec, specs_of
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import is_materialized


@dataclass(frozen=True, slots=True)
class Finding:
    """An entry of the listing with the live things behind it.

    Attributes:
        invocation: what the observer noted; its module is None if it was let go.
        hash: None where it could not be taken.
        result: outputs of the replay by name; None if there was none or it raised.
        error: what the replay raised; empty if nothing.
        found: the entry, without its children.
    """

    invocation: Invocation
    hash: ModelHash | None
    result: Sample | None
    error: str
    found: FoundModel


def find_models(invocations: Sequence[Invocation]) -> list[Finding]:
    """Replay and describe all invocations that finished at least once, in order of first call."""
    findings = [_finding(invocation) for invocation in invocations if invocation.calls]
    return _with_labels(findings)


def tree_of(findings: Sequence[Finding]) -> tuple[FoundModel, ...]:
    """Top-level entries with their children inside."""
    children: dict[int, list[Finding]] = {}
    for finding in findings:
        parent = finding.invocation.parent
        children.setdefault(id(parent) if parent is not None else 0, []).append(finding)

    def entry(finding: Finding) -> FoundModel:
        inside = tuple(entry(child) for child in children.get(id(finding.invocation), []))
        return replace(finding.found, children=inside)

    return tuple(entry(finding) for finding in children.get(0, []))


def source_of(finding: Finding, others: Sequence[Finding]) -> SourceModel:
    """The model of a finding, ready to be used.

    Args:
        others: all findings; those of the same model give further samples.
    """
    invocation = finding.invocation
    module = invocation.seen.module
    assert module is not None
    assert finding.hash is not None
    further = tuple(
        _sample_set(other)
        for other in others
        if other.invocation.seen is invocation.seen
        and other.invocation is not invocation
        and other.invocation.depth == invocation.depth
        and other.result is not None
    )
    return SourceModel(
        module=module,
        samples=_sample_set(finding),
        further_samples=further,
        class_name=finding.found.class_name,
        model_hash=finding.hash.digest,
        hash_basis=finding.hash.basis,
        weights_hash=finding.found.weights_hash or weights_hash(module),
        parameter_count=finding.found.parameter_count,
        parameter_bytes=finding.found.parameter_bytes,
        training_mode_seen=finding.found.training_mode_seen,
        data_dependent=finding.found.data_dependent,
    )


def with_weights_hash(finding: Finding) -> Finding:
    """The finding with the hash of its weights, if its model is still there."""
    module = finding.invocation.seen.module
    if module is None or finding.found.weights_hash:
        return finding
    return replace(finding, found=replace(finding.found, weights_hash=weights_hash(module)))


def _sample_set(finding: Finding) -> SampleSet:
    inputs = tuple(finding.invocation.reservoir.samples)
    return SampleSet(
        structure=finding.invocation.structure,
        inputs=inputs,
        outputs=(finding.result, *[None] * (len(inputs) - 1)),
    )


def _finding(invocation: Invocation) -> Finding:
    module = invocation.seen.module
    samples = invocation.reservoir.samples
    note, hashed, played = "", None, None
    if module is None:
        note = "let go to save memory (--keep-bytes), therefore without hash"
    elif not samples:
        note = "its inputs have no values (meta device), therefore without hash"
    else:
        played = _replay_silently(invocation)
        hashed = replay_hash(played)
        if played.error:
            note = f"cannot be called again: {played.error}"
    return Finding(
        invocation=invocation,
        hash=hashed,
        result=played.result if played else None,
        error=played.error if played else "",
        found=_found(invocation, hashed, played, note),
    )


def _replay_silently(invocation: Invocation) -> Replay:
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        return replay(invocation.seen.module, invocation.structure, invocation.reservoir.samples[0])


def _found(invocation: Invocation, hashed: ModelHash | None, played: Replay | None, note: str) -> FoundModel:
    seen = invocation.seen
    parameters = list(seen.module.parameters()) if seen.module is not None else []
    by_dtype: dict[str, int] = {}
    for parameter in parameters:
        dtype = str(parameter.dtype).removeprefix("torch.")
        by_dtype[dtype] = by_dtype.get(dtype, 0) + size_bytes(parameter)
    result = played.result if played is not None and played.result is not None else {}
    surplus = f"{seen.surplus_calls} calls with further signatures are not listed" if seen.surplus_calls else ""
    return FoundModel(
        model_hash=hashed.digest if hashed else "",
        hash_basis=hashed.basis if hashed else "",
        name=invocation.place.name,
        class_name=seen.class_name,
        calls=invocation.calls,
        failed_calls=invocation.failed,
        seconds=invocation.nanoseconds / 1e9,
        file=invocation.place.file,
        line=invocation.place.line,
        depth=invocation.depth,
        parameter_count=sum(parameter.numel() for parameter in parameters if is_materialized(parameter)),
        parameter_bytes=sum(by_dtype.values()),
        bytes_by_dtype=by_dtype,
        inputs=tuple(
            TensorSpec(name=name, dtype=invocation.dtypes[name], shape=shape)
            for name, shape in invocation.shapes.items()
        ),
        outputs=specs_of(result),
        samples=len(invocation.reservoir.samples),
        training_mode_seen=invocation.training_seen,
        data_dependent=bool(played and played.data_reads),
        opaque=invocation.opaque,
        note="; ".join(text for text in (note, surplus) if text),
    )


def _with_labels(findings: list[Finding]) -> list[Finding]:
    """Short hashes, with ``.2``, ``.3`` … in order of first call where several share one; those get weights hashes."""
    by_hash: dict[str, list[int]] = {}
    for index, finding in enumerate(findings):
        if finding.hash is not None:
            by_hash.setdefault(finding.hash.digest[:8], []).append(index)
    labelled: list[Any] = list(findings)
    for short, indexes in by_hash.items():
        for number, index in enumerate(indexes, start=1):
            finding = labelled[index]
            label = short if number == 1 else f"{short}.{number}"
            labelled[index] = replace(finding, found=replace(finding.found, hash=label))
            if len(indexes) > 1:
                labelled[index] = with_weights_hash(labelled[index])
    return labelled
