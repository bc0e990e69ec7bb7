"""Batch sizes of the candidates of a build, one experiment each, until throughput stops growing."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from turnkey.errors import ModelError, from_dict
from turnkey.host import fair_threads
from turnkey.measure import LadderResult, LadderRule, Settings, TargetDescription, run_ladder
from turnkey.measure.journal import growing_directory
from turnkey.model.samples import SampleSet
from turnkey.model.signature import Signature
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State
from turnkey.runtimes.handover import HandoverImpossible, handed_over
from turnkey.runtimes.reference import Reference
from turnkey.tools.batch_samples import samples_at
from turnkey.tools.candidates import Candidate, reference_of
from turnkey.tools.curve_listing import curve_entry, curve_table
from turnkey.tools.experiment import record_path, tell, tell_round


def climbed(
    state: State,
    reference: Reference,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    signature: Signature,
    *,
    rule: LadderRule,
    settings: Settings,
) -> State:
    """The state with the curve of each candidate over batch sizes.

    Records of a climb that was interrupted are taken up again; those of a finished one stay beside each other in one
    directory of ``runs/``.

    Args:
        samples: captured ones, from which those of each batch size are made.
        signature: says which axes carry the batch.

    Raises:
        ModelError: the live model cannot leave this process, or fails at the first batch size.
        TurnkeyError: no candidate could be measured; the error of the first.
    """
    path = record_path(state, candidates, {"rule": asdict(rule), "settings": settings.to_json()})
    found = _climb(reference, samples, candidates, signature, rule=rule, settings=settings, path=path)
    errors = [climb.error for climb in found.climbs.values() if climb.error is not None]
    if not any(climb.rungs for climb in found.climbs.values()):
        raise from_dict(dict(errors[0] if errors else {"what": "nothing could be measured"}))
    finished = path.with_suffix("")
    growing_directory(path).rename(finished)
    where = BuildPaths(state.cache_dir, state.build_name).relative(finished)
    entries = {entry["key"]: dict(entry) for entry in state.measurements}
    for candidate in candidates:
        climb = found.climbs[candidate.key]
        if climb.rungs:
            own = entries.setdefault(candidate.key, _named(candidate))
            own |= {"batches": curve_entry(climb), "batches_record": where}
    reasons = [
        f"batch {rung.batch}: {reason.line}"
        for climb in found.climbs.values()
        for rung, record in zip(climb.rungs, climb.records, strict=True)
        for reason in record.reasons
        if reason.applies_to(climb.key)
    ]
    told = [curve_table(list(found.climbs.values()))]
    told += [f"{climb.key}: {climb.reason}" for climb in found.climbs.values()]
    listing = "\n".join([*told, *dict.fromkeys(reasons)])
    return replace(state, measurements=tuple(entries.values()), listing=listing)


def _named(candidate: Candidate) -> dict[str, Any]:
    variant = None if candidate.variant is None else candidate.variant.key
    named = {"key": candidate.key, "variant": variant, "runtime": candidate.runtime.name}
    return {name: value for name, value in named.items() if value is not None}


def _climb(
    reference: Reference,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    signature: Signature,
    *,
    rule: LadderRule,
    settings: Settings,
    path: Path,
) -> LadderResult:
    with ExitStack() as stack:
        targets = _Targets(reference, samples, candidates, signature, stack)
        try:
            targets.hand_over()
        except HandoverImpossible as impossible:
            raise ModelError(
                "a curve over batch sizes needs fresh processes, and this model cannot leave its own",
                evidence=str(impossible),
                remedy="export it and measure the file: export-pytorch verify profile --runtime onnxruntime",
            ) from impossible
        return run_ladder(
            targets.at,
            rule=rule,
            settings=settings,
            reference=reference_of(candidates, fair_threads=fair_threads()),
            path=growing_directory(path),
            listen=tell_round,
        )


class _Targets:
    """How fresh processes get hold of the candidates and of inputs of a batch size.

    Args:
        stack: their files live as long as it does.
    """

    def __init__(
        self,
        reference: Reference,
        samples: SampleSet,
        candidates: Sequence[Candidate],
        signature: Signature,
        stack: ExitStack,
    ) -> None:
        self._reference = reference
        self._samples = samples
        self._candidates = candidates
        self._signature = signature
        self._stack = stack
        self._module: Any = None
        self._reached = 0

    @property
    def _source(self) -> SourceModel:
        return self._reference.source

    def hand_over(self) -> None:
        """Write the live module, once for all batch sizes. Raises HandoverImpossible."""
        if any(candidate.variant is None for candidate in self._candidates):
            handover = handed_over(self._source, self._samples, with_module=True)
            self._module = self._stack.enter_context(handover).module

    def at(self, batch: int) -> list[TargetDescription]:
        """The candidates at a batch size; none where the model does not take one beyond the first."""
        try:
            made = samples_at(batch, self._samples, self._signature, self._reference)
        except ModelError as error:
            if not self._reached:
                raise
            tell(f"batch {batch}: {error.what}: {error.evidence}")
            return []
        self._reached = batch
        handover = self._stack.enter_context(handed_over(self._source, made, with_module=False))
        whole = replace(handover, module=self._module)
        return [candidate.description(whole) for candidate in self._candidates]
