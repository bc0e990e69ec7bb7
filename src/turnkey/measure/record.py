"""The record of one experiment: every number that users see is computed here from the samples it keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, MeasurementInvalid, UsageError
from turnkey.measure import journal, load, statistics, summary, validity, verdict, warmup, windows
from turnkey.measure.environment import Span
from turnkey.measure.plan import Settings, Windows
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.summary import CandidateSummary
from turnkey.measure.units import mean_units, units_of
from turnkey.measure.validity import Reason
from turnkey.measure.verdict import Floor, Verdict
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
    def twin(self) -> dict[int, float]:
        """Twin − original by round."""
        return twin_differences(self.units)

    @cached_property
    def is_single(self) -> bool:
        """Whether only one process of each stands behind the numbers; a yardstick has one beside each other."""
        counts = [len(rounds) for name, rounds in self.units.items() if name != self.yardstick]
        return max(counts, default=0) < 2

    @property
    def fastest(self) -> str | None:
        """The measured candidate with the smallest time and a right output; None if there is none.

        One whose processes were lost on the way is only named where no other is left.
        """
        sound = [key for key in self.measured if not self._is_wrong(key)]
        if not sound:
            return None
        stayed = [key for key in sound if self._entry(key)["status"] not in ("crashed", "failed")] or sound
        survivors = [key for key in stayed if key not in self._left] or stayed
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
        found = self._judge(key, other)
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
            fields, noted = summary.numbers(self.timed[key], self.units[key], seed=self.settings.seed)
            notes += noted
        return CandidateSummary(
            key=key,
            **fields,
            **self._steps(key),
            course=self._course(key),
            validity="INVALID" if reasons else "VALID",
            reasons=tuple(str(item) for item in reasons),
            notes=tuple(dict.fromkeys([*notes, *self._process_notes(key), *self.run.get("notes", ())])),
            error=entry.get("error"),
            threads=entry.get("threads"),
            facts={**entry.get("facts", {}), **self._described(key)},
        )

    @cached_property
    def reasons(self) -> tuple[Reason, ...]:
        """Why something of this record must not be used; empty if all of it may."""
        found: dict[tuple[str, str], Reason] = {}

        def add(items: Sequence[Reason]) -> None:
            for item in items:
                found.setdefault((item.code, item.key), item)

        for entry in self.run["variants"]:
            if entry.get("status") in ("crashed", "failed") and entry.get("error"):
                add([validity.reason("crashed", entry["error"].get("what", "it crashed"), key=entry["key"])])
        for process in self._processes():
            if not process["v"].endswith(TWIN_SUFFIX):
                add(validity.of_process(process["v"], process))
        if not self.settings.compare_threads:
            add(validity.of_threads(self._threads()))
        add(validity.of_host([Span(**span) for entry in self.run["rounds"] for span in entry["spans"]]))
        in_rounds = [process for entry in self.run["rounds"] for process in entry["processes"]]
        for key in self.measured:
            add(validity.of_warm_up(key, [process for process in in_rounds if process["v"] == key]))
        by_round: dict[int, dict[str, Sequence[Slice]]] = {}
        for name, rounds in self.timed.items():
            for r, items in rounds.items():
                by_round.setdefault(r, {})[name] = items
        for key in self.measured:
            if warmup.still_warming(by_round, key, twin=key + TWIN_SUFFIX):
                add([validity.reason("no-steady-state", "it went on getting faster inside its rounds", key=key)])
        for key in self.measured if self.settings.windows else ():
            found_windows = self.windows(key)
            if not found_windows.stable:
                add([validity.reason("unstable", f"no agreement in {found_windows.trials} windows", key=key)])
        if self._floor().is_biased:
            add([validity.reason("aa-difference", f"the twin differs from its original by {self.noise_floor:.1%}")])
        if self.run.get("layout") == "contiguous":
            add([validity.reason("not-interleaved", "no two variants fit into memory together")])
        add([Reason(**item) for item in self.run.get("load_reasons", ())])
        return tuple(found.values())

    @property
    def noise_floor(self) -> float | None:
        """Relative difference that this host made of nothing; None without a twin."""
        return math.expm1(self._floor().size) if self.twin else None

    def differences(self, other: Record, *, pairs: Mapping[str, str] | None = None) -> dict[str, tuple[Any, Any]]:
        """What keeps two records from being compared: fact to the values of both; empty if they may be.

        Processor, kind of inputs, and for every pair of candidates: threads, device, runtime version, samples.

        Args:
            pairs: candidate of this record to candidate of the other; None pairs those of one key.
        """
        named = {key: key for key in self.measured if key in other.measured} if pairs is None else pairs
        facts = [
            {
                "processor": record.run["environment"].get("processor"),
                "inputs": record.settings.inputs,
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
        found = [self.verdict(key) for key in self.keys]
        return [
            {
                "key": item.key,
                "reference": item.reference,
                "kind": str(item.kind),
                "ratio": item.ratio,
                "low": item.low,
                "high": item.high if math.isfinite(item.high) else None,
                "rounds": item.rounds,
                "level": item.level,
                "negligible": item.negligible,
                "valid": item.is_valid,
                "notes": list(item.notes),
            }
            for item in found
            if item is not None
        ]

    @cached_property
    def _left(self) -> dict[str, int]:
        """Index of the look at which a candidate left."""
        return {key: i for i, entry in reversed(list(enumerate(self.run["looks"]))) for key in entry["leaves"]}

    def _judge(self, key: str, other: str) -> Verdict | None:
        if not (self.units[key].keys() & self.units[other].keys()) and self.is_single and not self.yardstick:
            return None
        if len(self.units[key]) < 2 or len(self.units[other]) < 2:
            return self._judge_single(key, other)
        looks = self.run["looks"]
        index = min(self._left.get(key, len(looks) - 1), self._left.get(other, len(looks) - 1))
        k = self._last_k() if index >= len(looks) - 1 else looks[index]["k"]
        level = statistics.spending(k, self.settings.alpha, len(self.keys) - 1)
        found = verdict.difference(self.units, key, other, level=level, yardstick=self.yardstick)
        if found is None:
            return None
        floor = self._floor(looks[index]["last_round"] if index < len(looks) - 1 else None, k=k)
        return verdict.verdict_of(
            found, key=key, reference=other, level=level, floor=floor.size, settings=self.settings
        )

    def _judge_single(self, key: str, other: str) -> Verdict | None:
        """One process of each: over the passes that both had, else over those that each had with the yardstick."""
        settings = self.settings
        both = self._pass_differences(key, other)
        if both:
            found = statistics.bootstrap_interval(both, level=settings.alpha, seed=settings.seed)
        else:
            own, others = (self._pass_differences(name, self.yardstick) for name in (key, other))
            if min(len(own), len(others)) < 2:
                return None
            found = statistics.welch_interval(own, others, level=settings.alpha)
        return verdict.judge_single(found, key=key, reference=other, settings=settings)

    def _pass_differences(self, key: str, other: str | None) -> list[float]:
        """Log slice medians of ``key`` minus those of ``other`` in the last round that both stood in, by pass."""
        common = sorted(self.units[key].keys() & self.units.get(other or "", {}).keys())
        if not common or other is None:
            return []
        first, second = (
            {item.p: statistics.slice_log(item) for item in self.timed[name][common[-1]]} for name in (key, other)
        )
        return [first[p] - second[p] for p in sorted(first.keys() & second.keys())]

    def _last_k(self) -> int:
        """Number of the last look; an unfinished record whose rounds went on after it pays for one more."""
        looks, rounds = self.run["looks"], self.run["rounds"]
        if not looks:
            return 1
        went_on = bool(rounds) and rounds[-1]["r"] > looks[-1]["last_round"]
        return int(looks[-1]["k"]) + went_on

    def _floor(self, last_round: int | None = None, *, k: int | None = None) -> Floor:
        values = [d for r, d in sorted(self.twin.items()) if last_round is None or r <= last_round]
        return verdict.noise_floor(values, k=k or self._last_k(), delta=self.settings.delta)

    def _spoilers(self, key: str, other: str) -> list[str]:
        return [
            str(item)
            for item in self.reasons
            if item.spoils_verdict and (item.applies_to(key) or item.applies_to(other))
        ]

    def _is_wrong(self, key: str) -> bool:
        return any(process["v"] == key and process.get("wrong") for process in self._processes())

    def _entry(self, key: str) -> Mapping[str, Any]:
        for entry in self.run["variants"]:
            if entry["key"] == key:
                found: Mapping[str, Any] = entry
                return found
        raise UsageError(f"this record has no candidate {key!r}", evidence=f"it has: {', '.join(self.keys)}")

    def _threads(self) -> dict[str, int]:
        """Threads of each candidate: what its runtime says it took, else what it was given."""
        told = {p["v"]: (p.get("facts") or {}).get("threads") for p in self._processes()}
        return {entry["key"]: told.get(entry["key"]) or entry["threads"] for entry in self.run["variants"]}

    def _processes(self) -> list[Mapping[str, Any]]:
        calibration = self.run.get("calibration", [])
        return [*calibration, *(process for entry in self.run["rounds"] for process in entry["processes"])]

    def _of(self, key: str) -> list[Mapping[str, Any]]:
        return [process for process in self._processes() if process["v"] == key and process.get("load_ns") is not None]

    def _steps(self, key: str) -> dict[str, Any]:
        """Durations of loading (medians over processes) and memory."""
        processes = self._of(key)

        def middle(name: str) -> float | None:
            values = sorted(p[name] for p in processes if p.get(name) is not None)
            return values[len(values) // 2] / 1e6 if values else None

        calibrated = [p["n_warm"] for p in processes if p.get("n_warm") is not None]
        joules = sum(p.get("joules", 0.0) for p in processes)
        energy_calls = sum(p.get("joules_calls", 0) for p in processes)
        peaks = [p["peak_bytes"] for p in processes if p.get("peak_bytes") is not None]
        return {
            # Imports share the cores with those of other processes: the least disturbed one counts.
            "import_ms": min((p["import_ns"] for p in processes if p.get("import_ns") is not None), default=0) / 1e6
            or None,
            "load_ms": middle("load_ns"),
            "first_load_ms": processes[0]["load_ns"] / 1e6 if processes else None,
            "compile_ms": middle("compile_ns"),
            "first_ms": middle("first_ns"),
            "warm_calls": calibrated[0] if calibrated else None,
            "joules_per_call": joules / energy_calls if energy_calls else None,
            "peak_memory_bytes": peaks[0] if peaks else None,
        }

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
        samples = {process.get("samples") for process in self._of(key)}
        named = [(name, summary.facts.get(name)) for name in ("device", "runtime_version")]
        return [("threads", summary.threads), ("samples", sorted(map(str, samples))), *named]

    def _described(self, key: str) -> dict[str, Any]:
        processes = self._of(key)
        return dict(processes[-1].get("facts") or {}) if processes else {}

    def _process_notes(self, key: str) -> list[str]:
        notes = [note for process in self._of(key) for note in process.get("notes", ())]
        if self.is_single and key in self.timed:
            notes.append("single-process: run-to-run variation is not included; use effort standard for verdicts")
        return list(dict.fromkeys(notes))


def timed_slices(slices: Sequence[Slice]) -> dict[str, dict[int, list[Slice]]]:
    """Timed slices by name and round; where a process was replaced, only those of the replacement."""
    found: dict[str, dict[int, list[Slice]]] = {}
    for item in slices:
        if item.kind != "timed":
            continue
        items = found.setdefault(item.v, {}).setdefault(item.r, [])
        if items and items[0].attempt < item.attempt:
            items.clear()
        items.append(item)
    return found


def twin_differences(units: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Twin − original by round, whichever variant had the twin in it."""
    found: dict[int, float] = {}
    for name, rounds in units.items():
        if name.endswith(TWIN_SUFFIX):
            original = units.get(name.removesuffix(TWIN_SUFFIX), {})
            found.update({r: u - original[r] for r, u in rounds.items() if r in original})
    return found
