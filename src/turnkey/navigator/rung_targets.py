"""What the measuring engine is given at each batch size: inputs of that size, and who is to run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import ModelError
from turnkey.measure import Record, Settings, TargetDescription, run_in_process
from turnkey.measure.layout import MEMORY_SHARE
from turnkey.model.samples import SampleSet
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.preparation import Prepared
from turnkey.runtimes.handover import Handover, handed_over
from turnkey.runtimes.torch_eager import left_as_it_was


class RungTargets:
    """What is fed at each batch size, and to whom."""

    def __init__(
        self, prepared: Prepared, contestants: Sequence[Contestant], *, batched: bool, stack: ExitStack, say: Any
    ) -> None:
        self._prepared = prepared
        self._contestants = {each.key: each for each in contestants}
        self._batched = batched
        self._stack = stack
        self._say = say
        self._module: Mapping[str, Any] | None = None
        self._samples: dict[int, SampleSet] = {}
        self._handed: dict[int, Handover] = {}
        self._asked = 0
        """The batch size that was asked for last: what is measured next."""
        self.refused: int | None = None
        """The batch size whose inputs and outputs alone would not fit into memory."""

    def hand_over(self) -> None:
        """Write the live source for fresh processes, once. Raises HandoverImpossible."""
        first = self._prepared.sets[0]
        source = self._prepared.source.bare(first)
        handover = self._stack.enter_context(handed_over(source, first, with_module=True))
        self._module = handover.module

    def targets(self, batch: int) -> list[TargetDescription]:
        """All contestants at a batch size; none where it would not fit into memory, or the source does not take it."""
        if self._batched and self._samples and not fits(self._prepared, batch):
            self.refused = batch
            return []
        self._asked = batch
        try:
            samples = self._at(batch)
        except ModelError as error:
            if not self._samples:
                raise
            self._say(f"batch {batch}: {error.what}: {error.evidence}")
            return []
        if batch not in self._handed:
            source = self._prepared.source.bare(samples)
            self._handed[batch] = self._stack.enter_context(handed_over(source, samples, with_module=False))
        directory = self._handed[batch].samples
        where = f"batch {batch}" if self._batched else "samples as they are"
        self._say(f"profiling {', '.join(self._contestants)} at {where}")
        return [each.description(directory, self._module) for each in self._contestants.values()]

    def measured_here(
        self,
        targets: Sequence[TargetDescription],
        *,
        reference: str | None,
        settings: Settings,
        path: Path | None,
        listen: Any,
    ) -> Record:
        """One rung in this process, with the interface of `run_experiment`."""
        threads = settings.threads or host.fair_threads()
        samples = self._samples[self._asked]
        live = {each.key: self._contestants[each.key] for each in targets}
        with left_as_it_was(self._prepared.source.model):
            return run_in_process(
                {key: each.target(self._prepared, samples, threads=threads) for key, each in live.items()},
                reference=reference,
                settings=settings,
                path=path,
                listen=listen,
                facts={key: each.facts() for key, each in live.items()},
            )

    def _at(self, batch: int) -> SampleSet:
        if batch not in self._samples:
            self._samples[batch] = self._prepared.at_batch(batch) if self._batched else self._prepared.as_given()
        return self._samples[batch]


def fits(prepared: Prepared, batch: int) -> bool:
    """Whether inputs and outputs of a batch size fit into the memory that is free, by this process's limits."""
    return prepared.needed_bytes(batch) <= MEMORY_SHARE * host.available_memory_bytes()
