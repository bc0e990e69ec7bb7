"""Climbing the ladder of batch sizes with an experiment per rung.

All candidates that still climb are measured together at each batch size, so that every rung has its verdicts; each
candidate ends its own climb by the predicates of `turnkey.measure.ladder`. Every rung leaves a record, and a climb
that was interrupted takes up the records of the same plan that it finds.

Trade-off: the gain from one rung to the next compares two experiments, so its interval is Welch's, not paired.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import TurnkeyError, UsageError, VerificationError
from turnkey.measure import ladder, opening, statistics
from turnkey.measure.budget import Budget
from turnkey.measure.experiment import run_experiment
from turnkey.measure.ladder import LadderRule, NextRung, Rung, Stop
from turnkey.measure.layout import MEMORY_SHARE
from turnkey.measure.plan import Settings, Windows
from turnkey.measure.progress import Listen
from turnkey.measure.record import Record
from turnkey.measure.statistics import Interval
from turnkey.measure.target import TargetDescription

MakeTargets = Callable[[int], Sequence[TargetDescription]]
_GAIN_LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """One candidate's way up; as long as it goes on there is no ``stop``.

    Attributes:
        rungs: ascending; the one that failed the cutoff is the last of them (before an ``extra`` one).
        records: of each rung, in the same order; several candidates share one.
        stop: why it ended; ``reason`` says the same in words.
        error: of the batch size that could not be measured, as `TurnkeyError.to_dict`; its record is kept in
            `LadderResult.records`.
    """

    key: str
    rungs: tuple[Rung, ...] = ()
    records: tuple[Record, ...] = ()
    stop: Stop | None = None
    reason: str = ""
    error: Mapping[str, str] | None = None

    @property
    def best(self) -> Rung | None:
        """The rung with the highest throughput, the smaller batch where two are equal."""
        return max(self.rungs, key=lambda rung: rung.throughput, default=None)

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "rungs": [asdict(rung) for rung in self.rungs],
            "records": [None if record.path is None else record.path.name for record in self.records],
            "stop": None if self.stop is None else str(self.stop),
            "reason": self.reason,
            "error": None if self.error is None else dict(self.error),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderResult:
    """What was found on the way up.

    Attributes:
        climbs: by key, in the order in which the candidates were given.
        records: every experiment, in time order, repeated ones and failed batch sizes included.
    """

    climbs: Mapping[str, Climb]
    records: tuple[Record, ...]

    def to_json(self) -> dict[str, Any]:
        return {"climbs": [climb.to_json() for climb in self.climbs.values()]}


def run_ladder(
    make_targets: MakeTargets,
    *,
    rule: LadderRule | None = None,
    settings: Settings | None = None,
    reference: str | None = None,
    path: Path | None = None,
    budget_s: float | None = None,
    listen: Listen | None = None,
    measure: Callable[..., Record] = run_experiment,
) -> LadderResult:
    """Measure ascending batch sizes of one or several candidates until each one's throughput stops growing.

    Args:
        make_targets: descriptions of the candidates at a batch size, under the same keys at every size. Asked only
            for batch sizes that are going to be measured; a candidate that it leaves out ends its climb. A model
            without a batch dimension: ``LadderRule(batch_sizes=(1,))``.
        rule: when to stop; by default 1, 2, 4, … until a rung gains less than 5 % over the one before.
        settings: of every rung; ``windows`` (by default the documented ones) decide how long a rung goes on and
            whether it is stable, ``budget_s`` is that of one rung.
        reference: key of the baseline of the verdicts, while it climbs.
        path: directory of the rungs' records ``batch-<n>.zip``; finished ones of the same plan are not measured
            again. None keeps them in memory.
        budget_s: wall time after which no further rung starts.
        listen: told in plain words what happens, never while a slice runs.
        measure: as `run_experiment`; for targets that cannot leave this process.

    Raises:
        UsageError: no candidate at the first batch size, or an unusable rule.
        MeasurementInvalid: ``settings.strict`` and some reason of validity holds at a rung.
        TurnkeyError: what ``make_targets`` raises.
    """
    if budget_s is not None and not 0 < budget_s < math.inf:
        raise UsageError("the budget of a ladder must be finite and positive", evidence=f"budget_s={budget_s!r}")
    chosen = settings or Settings()
    if chosen.windows is None:
        chosen = replace(chosen, windows=Windows())
    return _Ladder(make_targets, rule or LadderRule(), chosen, reference, path, budget_s, listen, measure).climb()


class _Ladder:
    def __init__(
        self,
        make_targets: MakeTargets,
        rule: LadderRule,
        settings: Settings,
        reference: str | None,
        path: Path | None,
        budget_s: float | None,
        listen: Listen | None,
        measure: Callable[..., Record],
    ) -> None:
        self._make_targets = make_targets
        self._rule = rule
        self._settings = settings
        self._reference = reference
        self._path = path
        self._budget = Budget(math.inf if budget_s is None else budget_s)
        self._tell = listen or (lambda text: None)
        self._measure = measure
        self._climbs: dict[str, Climb] = {}
        self._records: list[Record] = []

    def climb(self) -> LadderResult:
        first = next(ladder.sizes(self._rule))
        targets = list(self._make_targets(first))
        opening.check(targets, self._reference)
        self._climbs = {target.key: Climb(key=target.key) for target in targets}
        self._rung(targets, first, extra=set())
        while upcoming := self._next_rungs():
            batch = next(ahead.batch for ahead in upcoming.values() if ahead.batch is not None)
            targets = [target for target in self._make_targets(batch) if target.key in upcoming]
            for key in upcoming.keys() - {target.key for target in targets}:
                self._end(key, Stop.COMPLETE, f"it has nothing to measure at batch {batch}")
            if targets:
                self._rung(targets, batch, extra={key for key, ahead in upcoming.items() if ahead.extra})
        return LadderResult(climbs=self._climbs, records=tuple(self._records))

    def _end(self, key: str, stop: Stop, reason: str, error: Mapping[str, str] | None = None) -> None:
        self._climbs[key] = replace(self._climbs[key], stop=stop, reason=reason, error=error)

    def _next_rungs(self) -> dict[str, NextRung]:
        """Who goes on, and where to: the same batch size for all, since all have climbed as many rungs."""
        upcoming = {}
        free = MEMORY_SHARE * host.available_memory_bytes()
        for key, climb in self._climbs.items():
            if climb.stop is not None:
                continue
            ahead = ladder.next_rung(climb.rungs, self._rule, free_bytes=free)
            if ahead.stop is None and self._budget.is_spent:
                ahead = NextRung(batch=None, stop=Stop.BUDGET, reason="the time budget of the ladder was spent")
            if ahead.stop is None:
                upcoming[key] = ahead
            else:
                self._end(key, ahead.stop, ahead.reason)
                self._tell(f"{key} climbs no further: {ahead.reason}")
        return upcoming

    def _rung(self, targets: Sequence[TargetDescription], batch: int, *, extra: set[str]) -> None:
        """Measure one batch size; what is unstable again with longer windows, as often as the rule says."""
        settings, left = self._settings, self._rule.unstable_repeats
        while targets:
            repeat = self._rule.unstable_repeats - left
            record = self._record(targets, batch, settings, repeat=repeat)
            self._records.append(record)
            again = []
            for target in targets:
                if left and target.key in record.measured and not record.windows(target.key).stable:
                    again.append(target)
                else:
                    self._take(target.key, record, batch, is_extra=target.key in extra)
            targets, left = again, left - 1
            settings = replace(settings, windows=_doubled(settings.windows or Windows()))

    def _record(self, targets: Sequence[TargetDescription], batch: int, settings: Settings, *, repeat: int) -> Record:
        reference = self._reference if self._reference in {target.key for target in targets} else None
        path = None
        if self._path is not None:
            path = self._path / f"batch-{batch}{f'-again-{repeat}' if repeat else ''}.zip"
            if path.exists() and (found := _finished(path, targets, settings, reference)):
                self._tell(f"batch {batch}: taken from its record")
                return found
        return self._measure(
            targets,
            reference=reference,
            settings=settings,
            path=path,
            listen=lambda text: self._tell(f"batch {batch}: {text}"),
        )

    def _take(self, key: str, record: Record, batch: int, *, is_extra: bool) -> None:
        climb = self._climbs[key]
        if key not in record.measured:
            error = record.summary(key).error or {"what": "it was not measured"}
            self._end(key, Stop.ERROR, f"batch {batch}: {error['what']}", error)
            return
        wrong = [item for item in record.reasons if item.code == "wrong-output" and item.key == key]
        if wrong:
            error = VerificationError(f"the output at batch {batch} is wrong", evidence=wrong[0].evidence).to_dict()
            self._end(key, Stop.ERROR, error["what"], error)
            return
        found, summary = record.windows(key), record.summary(key)
        gain = None
        before = ladder.compared_to(climb.rungs, self._rule)
        if before is not None:
            gain = _gain(key, record, batch, climb.records[climb.rungs.index(before)], before.batch)
        whole = batch * (summary.throughput_per_s or 0.0)  # a rung too short for one window still has a throughput
        rung = Rung(
            batch=batch,
            throughput=ladder.throughput(found.last_means_ms, batch) if found.trials else whole,
            peak_bytes=summary.peak_memory_bytes,
            gain=gain,
            extra=is_extra,
            stable=found.stable,
        )
        self._climbs[key] = replace(climb, rungs=(*climb.rungs, rung), records=(*climb.records, record))


def _finished(
    path: Path, targets: Sequence[TargetDescription], settings: Settings, reference: str | None
) -> Record | None:
    """The finished record at ``path`` if it is of this plan; one that cannot be read is measured anew."""
    try:
        record = Record.load(path)
    except TurnkeyError:
        return None
    same = opening.is_finished(record.run, targets, settings=settings, reference=reference)
    return record if same else None


def _gain(key: str, record: Record, batch: int, before: Record, batch_before: int) -> Interval | None:
    """Throughput of a rung over that of an earlier one, by Welch's t over rounds.

    One process of each: over its slices, without the variation from run to run. None with fewer than two of them.
    """
    earlier, now = before.replicates(key), record.replicates(key)
    if min(len(earlier), len(now)) < 2:
        return None
    found = statistics.welch_interval(earlier, now, level=_GAIN_LEVEL)
    items = math.log(batch / batch_before)
    return Interval(mean=found.mean + items, low=found.low + items, high=found.high + items, n=found.n).exp()


def _doubled(rule: Windows) -> Windows:
    return replace(
        rule,
        measurement_request_count=2 * rule.measurement_request_count,
        measurement_interval=2 * rule.measurement_interval,
    )
