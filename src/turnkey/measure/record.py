"""The record of one experiment: every number that users see is computed here from the samples it keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, MeasurementInvalid, UsageError
from turnkey.measure import journal, load, statistics, summary, verdict, warmup, windows
from turnkey.measure.pair_verdicts import PairVerdicts
from turnkey.measure.plan import Settings, Windows
from turnkey.measure.process_facts import ProcessFacts
from turnkey.measure.record_validity import reasons_of
from turnkey.measure.slices import Slice, timed_slices
from turnkey.measure.summary import CandidateSummary
from turnkey.measure.units import mean_units, units_of
from turnkey.measure.validity import Reason
from turnkey.measure.verdict import Verdict
from turnkey.measure.windows import Stability


class Record:
    """A view of ``run.json`` and ``samples.jsonl``. Immutable; made by an experiment or by `load`.

    Attributes:
        run: the content of ``run.json``.
        slices: all samples.
        path: of the file, where there is one.
    """

    def __init__(self, run: Mapping[str, Any], slices: Sequence[Slice], *, path: Path | None = None) -> None:
        self.run = run
        self.slices = tuple(slices)
        self.path = path
        self._summaries: dict[str, CandidateSummary] = {}

    @classmethod
    def load(cls, path: Path) -> Record:
        """Read a finished or an unfinished record.

        Raises:
            InputError: there is nothing at ``path``.
            ArtifactError: it is no record.
        """
        run, slices = journal.read(path)
        if "rounds" not in run:
            raise ArtifactError("this record is of a load shape", evidence=str(path), remedy="LoadResult.load")
        return cls(run, slices, path=path)

    @property
    def keys(self) -> tuple[str, ...]:
        """The candidates in the order in which they were given."""
        return tuple(entry["key"] for entry in self.run["variants"])

    @property
    def measured(self) -> tuple[str, ...]:
        """The candidates that have timed calls."""
        return tuple(key for key in self.keys if key in self.units)

    @cached_property
    def settings(self) -> Settings:
        return Settings.from_json(self.run["settings"])

    @cached_property
    def timed(self) -> dict[str, dict[int, list[Slice]]]:
        """Timed slices by candidate (or twin) and round; of a process that was replaced, only the replacement's.

        A round that was interrupted does not count: its slices are kept, yet not every candidate has its share.
        """
        complete = {entry["r"] for entry in self.run["rounds"]}
        return timed_slices([item for item in self.slices if item.r in complete])

    @cached_property
    def units(self) -> dict[str, dict[int, float]]:
        """The one number of each (candidate, round), log nanoseconds; twins under their own names."""
        rule = mean_units if self.run.get("schema") == 1 else units_of
        return rule(self.timed, objective=self.settings.objective)

    @cached_property
    def processes(self) -> ProcessFacts:
        """What the processes told of themselves."""
        return ProcessFacts(self.run)

    @cached_property
    def pairs(self) -> PairVerdicts:
        """What the samples say about any two candidates, whatever spoils them."""
        return PairVerdicts(
            self.run, settings=self.settings, timed=self.timed, units=self.units, yardstick=self.yardstick
        )

    @property
    def is_single(self) -> bool:
        """Whether only one process of each stands behind the numbers."""
        return self.pairs.is_single

    @property
    def fastest(self) -> str | None:
        """The measured candidate with the smallest time and a right output; None if there is none.

        One whose processes were lost on the way is only named where no other is left.
        """
        sound = [key for key in self.measured if not self.processes.is_wrong(key)]
        if not sound:
            return None
        stayed = [key for key in sound if self._entry(key)["status"] not in ("crashed", "failed")] or sound
        survivors = [key for key in stayed if key not in self.pairs.left] or stayed
        return verdict.fastest(self.units, survivors, yardstick=self.yardstick)

    @property
    def reference(self) -> str | None:
        """The named baseline if it was measured, else the fastest."""
        named = self.run.get("reference")
        return named if named in self.measured else self.fastest

    @property
    def yardstick(self) -> str | None:
        """The variant that all others were paired with, in the layout of pairs."""
        stick: str | None = self.run.get("yardstick")
        return stick if stick in self.units else None

    def verdict(self, key: str, *, against: str | None = None) -> Verdict | None:
        """How ``key`` compares to the reference; None for the reference itself or where nothing can be said.

        Raises:
            UsageError: no such candidate.
        """
        self._entry(key)
        other = self.reference if against is None else against
        if other is None or other == key or key not in self.units or other not in self.units:
            return None
        found = self.pairs.of(key, other)
        return None if found is None else verdict.spoiled(found, self._spoilers(key, other))

    def windows(self, key: str, rule: Windows | None = None) -> Stability:
        """The Navigator's rule (by default the one of the settings) on the timed calls of one candidate.

        Raises:
            UsageError: no such candidate, or it has no timed calls.
        """
        self._entry(key)
        if key not in self.timed:
            raise UsageError(f"{key} has no timed calls", evidence=self.sentence())
        return windows.of_rounds(self.timed[key], rule or self.settings.windows or Windows())

    def summary(self, key: str) -> CandidateSummary:
        """All numbers of one candidate.

        Raises:
            UsageError: no such candidate.
        """
        if key not in self._summaries:
            self._summaries[key] = self._summary(self._entry(key))
        return self._summaries[key]

    def _summary(self, entry: Mapping[str, Any]) -> CandidateSummary:
        key = entry["key"]
        reasons = [item for item in self.reasons if item.applies_to(key) and item.spoils_value]
        fields: dict[str, Any] = {}
        notes: list[str] = list(entry.get("notes", ()))
        if key in self.timed:
            fields, noted = summary.numbers(
                self.timed[key], self.units[key], seed=self.settings.seed, objective=self.settings.objective
            )
            notes += noted
        return CandidateSummary(
            key=key,
            **fields,
            **self.processes.steps(key),
            course=self._course(key),
            validity="INVALID" if reasons else "VALID",
            reasons=tuple(str(item) for item in reasons),
            notes=tuple(dict.fromkeys([*notes, *self._process_notes(key), *self.run.get("notes", ())])),
            error=entry.get("error"),
            threads=entry.get("threads"),
            facts={**entry.get("facts", {}), **self.processes.described(key)},
        )

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """Why something of this record must not be used; empty if all of it may."""
        return reasons_of(self)

    @property
    def noise_floor(self) -> float | None:
        """Relative difference that this host made of nothing; None without a twin."""
        return math.expm1(self.pairs.floor().size) if self.pairs.twin else None

    def differences(self, other: Record, *, pairs: Mapping[str, str] | None = None) -> dict[str, tuple[Any, Any]]:
        """What keeps two records from being compared: fact to the values of both; empty if they may be.

        Processor, kind of inputs, objective; for every pair of candidates: threads, device, runtime version, number of
        samples, and dtypes and shapes of the inputs where both records tell them.

        Args:
            pairs: candidate of this record to candidate of the other; None pairs those of one key.
        """
        named = {key: key for key in self.measured if key in other.measured} if pairs is None else pairs
        facts = [
            {
                "processor": record.run["environment"].get("processor"),
                "inputs": record.settings.inputs,
                "objective": record.settings.objective,
                **{f"{label}: {name}": value for label, key in keys for name, value in record._conditions(key)},
            }
            for record, keys in ((self, zip(named, named, strict=True)), (other, named.items()))
        ]
        common = facts[0].keys() & facts[1].keys()
        return {name: (facts[0][name], facts[1][name]) for name in sorted(common) if facts[0][name] != facts[1][name]}

    def break_even_calls(self, key: str) -> float | None:
        """Calls after which ``key`` has paid back a later start than the reference's; None if it never does.

        The start is loading, compiling and the first call.

        Raises:
            UsageError: no such candidate.
        """
        own, base = self.summary(key), self.summary(self.reference or key)
        if own.latency_ms is None or base.latency_ms is None:
            return None

        def start(found: CandidateSummary) -> float:
            return math.fsum(value for value in (found.load_ms, found.compile_ms, found.first_ms) if value is not None)

        return load.break_even_calls(
            start_ms=start(own),
            call_ms=own.latency_ms,
            baseline_start_ms=start(base),
            baseline_call_ms=base.latency_ms,
        )

    def replicates(self, key: str) -> tuple[float, ...]:
        """What comparisons with other records rest on, log nanoseconds: the units of ``key`` by round.

        Of one process its slices, which do not contain the variation from run to run.
        """
        rounds = self.units[key]
        if len(rounds) >= 2:
            return tuple(unit for _, unit in sorted(rounds.items()))
        return tuple(statistics.slice_log(item) for items in self.timed[key].values() for item in items)

    def sentence(self) -> str:
        """The result in one line of plain words."""
        from turnkey.measure.wording import sentence  # words about a record, not part of it

        return sentence(self)

    def require_valid(self) -> None:
        """For ``--strict``.

        Raises:
            MeasurementInvalid: some reason of validity holds.
        """
        if self.reasons:
            raise MeasurementInvalid(
                "this measurement must not be used as it is",
                evidence="\n".join(f"{item.key or 'all'}: {item.code}: {item.evidence}" for item in self.reasons),
                remedy="\n".join(dict.fromkeys(item.remedy for item in self.reasons)),
            )

    def verdicts_json(self) -> list[dict[str, Any]]:
        """All verdicts against the reference, as ``run.json`` keeps them."""
        return [found.to_json() for key in self.keys if (found := self.verdict(key)) is not None]

    def _spoilers(self, key: str, other: str) -> list[str]:
        return [
            str(item)
            for item in self.reasons
            if item.spoils_verdict and (item.applies_to(key) or item.applies_to(other))
        ]

    def _entry(self, key: str) -> Mapping[str, Any]:
        for entry in self.run["variants"]:
            if entry["key"] == key:
                found: Mapping[str, Any] = entry
                return found
        raise UsageError(f"this record has no candidate {key!r}", evidence=f"it has: {', '.join(self.keys)}")

    def _course(self, key: str) -> str | None:
        """Label of its processes' calls, warm-up and timed ones in time order."""
        processes: dict[tuple[int, int], list[Slice]] = {}
        for item in self.slices:
            if item.v == key and item.kind in ("warm", "timed"):
                processes.setdefault((item.r, item.attempt), []).append(item)
        if not processes:
            return None
        sequences = [
            statistics.call_times(sorted(items, key=lambda item: (item.kind == "timed", item.p))).tolist()
            for items in processes.values()
        ]
        return warmup.course(sequences).value

    def _conditions(self, key: str) -> list[tuple[str, Any]]:
        summary = self.summary(key)
        named = [(name, summary.facts.get(name)) for name in ("device", "runtime_version")]
        return [("threads", summary.threads), *self.processes.inputs(key).items(), *named]

    def _process_notes(self, key: str) -> list[str]:
        notes = self.processes.notes(key)
        if self.is_single and key in self.timed:
            notes.append("single-process: run-to-run variation is not included; use effort standard for verdicts")
        return list(dict.fromkeys(notes))
