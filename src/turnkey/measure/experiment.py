"""The experiment: rounds, looks, and the rule that ends it.

A thin shell around the pure parts: it owns the budget, the workers and the files; what is decided is decided by
`race`, and what users see is computed by `record` from the samples.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import TurnkeyError
from turnkey.measure import journal, opening
from turnkey.measure.budget import BUDGET_SPENT, Budget
from turnkey.measure.crew import WorkerFactory
from turnkey.measure.host_watch import HostWatch, watch_of
from turnkey.measure.journal import Journal
from turnkey.measure.layout import Layout
from turnkey.measure.muster import RoundReport
from turnkey.measure.plan import Settings
from turnkey.measure.process import ProcessWorkers
from turnkey.measure.progress import Listen, Progress
from turnkey.measure.race import Race
from turnkey.measure.record import Record
from turnkey.measure.round import Rounds
from turnkey.measure.round_length import RoundLength
from turnkey.measure.slices import TWIN_SUFFIX
from turnkey.measure.target import TargetDescription

_SLOW_LOAD_S = 30.0


def run_experiment(
    targets: Sequence[TargetDescription],
    *,
    reference: str | None = None,
    settings: Settings | None = None,
    path: Path | None = None,
    listen: Listen | None = None,
    workers: WorkerFactory | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Record:
    """Measure targets together and decide which is faster.

    Args:
        targets: what is compared; one alone is measured to a precision.
        reference: key of the baseline; None compares to the fastest.
        path: of the record (``run.zip``); it grows beside it and an unfinished one of the same plan is continued.
            None keeps the record in memory.
        listen: told in plain words what happens, and within a step every ten seconds how far it is; never while a
            slice runs.
        workers: who starts the workers; None is fresh processes.
        clock: monotonic seconds, for the budget and for what is told.

    Returns:
        The record. A target that fails is in it with its error; the others' results stand.

    Raises:
        UsageError: no target, two of one key, an unknown reference.
        MeasurementInvalid: ``settings.strict`` and some reason of validity holds.
        KeyboardInterrupt: passed on after the record was saved and every worker ended.
    """
    chosen = settings or Settings()
    opening.check(targets, reference)
    budget = Budget(chosen.budget, clock=clock)
    progress = Progress(listen, budget)
    if workers is not None:
        return Experiment(targets, reference, chosen, path, workers, budget, progress).run()
    with tempfile.TemporaryDirectory(prefix="turnkey-logs-") as temporary:
        logs = Path(temporary) if path is None else journal.growing_directory(path) / journal.LOGS
        made = ProcessWorkers(
            logs,
            step_timeout_s=chosen.step_timeout_s,
            same_input=chosen.inputs == "same",
            cold_cache=chosen.cold_cache,
            stop_peers=chosen.stop_peers,
            meanwhile=progress.remind,
        )
        watch, notes = watch_of(targets)
        return Experiment(targets, reference, chosen, path, made, budget, progress, watch=watch, notes=notes).run()


class Experiment:
    """One run of the rule; see `run_experiment` for the arguments. Without a ``watch`` there is no host to read."""

    def __init__(
        self,
        targets: Sequence[TargetDescription],
        reference: str | None,
        settings: Settings,
        path: Path | None,
        workers: WorkerFactory,
        budget: Budget,
        progress: Progress,
        *,
        watch: HostWatch | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        self._descriptions = {target.key: target for target in targets}
        self._reference = reference
        self._settings = settings
        self._budget = budget
        self._progress = progress
        self._journal = Journal(path)
        self._is_real = watch is not None
        fair = settings.threads or (host.fair_threads() if self._is_real else 1)
        self._threads = {target.key: target.threads or fair for target in targets}
        self._rounds = Rounds(
            descriptions=self._descriptions,
            threads=self._threads,
            settings=settings,
            workers=workers,
            write=self._journal.add,
            progress=progress,
            watch=watch,
        )
        self._notes = list(notes)
        self._length = RoundLength(self._journal, budget=budget)
        self._race = Race(list(self._descriptions), reference=reference, settings=settings)
        self._layout = Layout(self._journal, self._race)

    def run(self) -> Record:
        """Measure until the rule, the budget or the user ends it."""
        self._begin()
        try:
            self._calibrate()
            self._allow_for_slow_loads()
            self._layout.choose()
            self._go_round()
        except KeyboardInterrupt:
            self._journal.run["state"] = "interrupted"
            self._journal.save()
            raise
        finally:
            self._rounds.end()
            self._journal.close()
        return self._finish()

    def _begin(self) -> None:
        fresh = opening.fresh_run(
            list(self._descriptions.values()),
            threads=self._threads,
            settings=self._settings,
            reference=self._reference,
            notes=self._notes,
            is_real=self._is_real,
        )
        self._notes = fresh["notes"]
        if not self._continue(fresh):
            self._journal.begin(fresh)

    def _continue(self, fresh: Mapping[str, Any]) -> bool:
        """Take up an unfinished record of the same plan; True if there is one."""
        found = opening.unfinished(self._journal, fresh, tell=self._progress.say)
        if found is None:
            return False
        run, slices = found
        self._race.leave([key for entry in run["looks"] for key in entry["leaves"]])
        self._race.leave([entry["key"] for entry in run["variants"] if entry["status"] in ("crashed", "failed")])
        self._journal.resume({**run, "state": "growing"}, slices)
        self._race.note_outputs([*run["calibration"], *(p for r in run["rounds"] for p in r["processes"])])
        self._race.note_slices(slices)
        self._progress.say(f"continuing an unfinished record after {len(run['rounds'])} rounds")
        return True

    def _calibrate(self) -> None:
        if not self._settings.calibrates:
            return
        run = self._journal.run
        done = {entry["v"]: entry for entry in run["calibration"]}
        missing = [key for key in self._race.live if key not in done]
        if missing:
            self._progress.begin("calibrating", ", ".join(missing))
        report = self._rounds.gather(missing)
        for place, key in enumerate(missing, 1):
            self._progress.begin(f"calibrating {key} ({place} of {len(missing)})")
            done[key], item, error = self._rounds.calibrate(key, report)
            run["calibration"].append(done[key])
            if item is not None:
                self._journal.add(item)
                run["calibration_slices"] += 1
            if error is not None:
                self._drop(key, error)
            self._journal.save()
        for key in self._race.live:
            if done[key].get("call_ns"):
                self._length.note_call(key, done[key]["call_ns"])
        self._race.note_outputs(run["calibration"])

    def _allow_for_slow_loads(self) -> None:
        """Fewer rounds, with a look after each from the third on, where loading takes most of the time."""
        slow = [
            entry["v"]
            for entry in self._journal.run["calibration"]
            if (entry.get("load_ns") or 0) + (entry.get("compile_ns") or 0) > _SLOW_LOAD_S * 1e9
        ]
        if slow:
            self._settings = replace(self._settings, min_rounds=3, max_rounds=5, look_every=1)
            self._notes.append(f"slow-load: {', '.join(slow)} load for more than 30 s, so there are 3 to 5 rounds")

    def _go_round(self) -> None:
        """Round after round, with looks between them, until the rule or the budget ends it."""
        settings = self._settings
        exact = settings.iterations is not None
        last = 1 if settings.is_quick else settings.fewest_rounds if exact else settings.most_rounds
        if settings.iterations is not None:
            last = min(last, settings.iterations)
        cycle = self._layout.cycles_done()
        while self._race.live and cycle < last:
            if cycle and self._budget.is_spent:
                rounds = f"{cycle} round{'s' if cycle > 1 else ''}"
                self._notes.append(f"{BUDGET_SPENT} {self._budget.seconds:g} s was spent after {rounds}")
                break
            cycle += 1
            self._cycle(cycle, last, self._layout.crews_left(cycle))
            is_look = cycle == last or (not exact and settings.is_look(cycle))
            if is_look and cycle >= 2 and self._look(cycle) and cycle < last:
                break
        self._last_look(cycle)

    def _cycle(self, cycle: int, last: int, crews: Sequence[Sequence[str]]) -> None:
        """One round of everything that is live: one crew, or one after another where memory forces it."""
        run = self._journal.run
        most = str(last) if last == self._settings.fewest_rounds else f"at most {last}"
        for names in crews:
            number = len(run["rounds"]) + 1
            self._progress.begin(
                f"round {cycle} of {most}", ", ".join(name for name in names if TWIN_SUFFIX not in name)
            )
            first_pass = math.ceil(self._next_pass() / len(names)) * len(names)
            report = self._rounds.run(
                number,
                names,
                n_warm={entry["v"]: entry.get("n_warm") or 0 for entry in run["calibration"]},
                bounds=partial(
                    self._length.bounds, cycle=cycle, last=last, settings=self._settings, live=lambda: self._race.live
                ),
                first_pass=first_pass,
            )
            self._take(report, cycle, first_pass)
            if report.crowded:
                how = self._layout.step_down()
                self._progress.say(f"{report.crowded} does not fit into memory beside the others: measuring {how}")
                self._journal.save()
                return self._cycle(cycle, last, self._layout.crews())

    def _take(self, report: RoundReport, cycle: int, first_pass: int) -> None:
        run = self._journal.run
        self._race.note_outputs(report.processes)
        for name, error in report.lost.items():
            if name in self._race.live and name != report.crowded:
                self._drop(name, error)
        recent = [item for item in self._journal.slices[-report.slices :] if item.r == report.number]
        self._race.note_slices(recent)
        run["rounds"].append(report.to_json(cycle=cycle, first_pass=first_pass))
        self._journal.save()

    def _look(self, cycle: int) -> bool:
        """Look at all pairs; True when nothing is pending."""
        run = self._journal.run
        k = len(run["looks"]) + 1
        found = self._race.look(k, yardstick=run["yardstick"])
        if found is None:
            return False
        run["looks"].append(found.to_json(cycle=cycle, last_round=run["rounds"][-1]["r"]))
        self._progress.say(
            f"look {k} after {cycle} rounds: {found.best} leads"
            + (f", {len(found.pending)} pairs still in doubt" if found.pending else ", all decided")
        )
        self._journal.save()
        return not found.pending

    def _last_look(self, cycle: int) -> None:
        looks = self._journal.run["looks"]
        if cycle >= 2 and (not looks or looks[-1]["n"] < cycle):
            self._look(cycle)

    def _next_pass(self) -> int:
        rounds = self._journal.run["rounds"]
        return rounds[-1]["first_pass"] + rounds[-1]["passes"] if rounds else 0

    def _drop(self, key: str, error: TurnkeyError) -> None:
        self._race.leave([key])
        for entry in self._journal.run["variants"]:
            if entry["key"] == key:
                entry["status"], entry["error"] = "crashed", error.to_dict()
        self._progress.say(f"{key} leaves: {error.what}")

    def _finish(self) -> Record:
        run = self._journal.run
        for entry in run["variants"]:
            if entry["status"] == "live" and entry["key"] not in self._race.live:
                entry["status"] = "left"
        run["state"] = "finished"
        run["wall_s"] = round(self._budget.spent_s, 3)
        run["notes"] = list(dict.fromkeys(self._notes))
        record = Record(run, self._journal.slices, path=self._journal.path)
        run["verdicts"] = record.verdicts_json()
        run["validity"] = [item.to_json() for item in record.reasons]
        lost = {
            f"{entry['v']}-{number}.txt"
            for number, processes in [(0, run["calibration"]), *((r["r"], r["processes"]) for r in run["rounds"])]
            for entry in processes
            if entry.get("lost") or entry.get("wrong")
        }
        self._journal.finish(keep_logs=frozenset(lost))
        if self._settings.strict:
            record.require_valid()
        return record
