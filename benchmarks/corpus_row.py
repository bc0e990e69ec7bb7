"""A row of the tables that `corpus.py` prints: one ``turnkey`` call over many inputs, and what came of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from watched_call import WatchedCall

from turnkey.errors import TurnkeyError
from turnkey.pipeline.failure import FAILED
from turnkey.pipeline.failure_shape import by_cause
from turnkey.pipeline.state_file import load_state

FINISHED = ("successful", "skipped")
LOST, MISSING = "lost", "missing"

EXPORTERS: Mapping[str, str] = {"torchscript": "TorchScript", "dynamo": "torch.export"}
"""By name, as the tables say it."""


class Published(NamedTuple):
    """TurnkeyML 4.0.11 on small scripts, in seconds per input.

    Attributes:
        name: of its row.
        mib: resident size of one of its processes.
    """

    name: str
    wall_s: float
    cpu_s: float
    mib: int


class Ending(NamedTuple):
    """How one input ended, as its build says.

    Attributes:
        status: ``successful``, ``skipped``, ``error``, ``timeout``, ``killed``; `LOST` if nothing says how, or why.
        exporter: whose file was taken, if one was written.
    """

    name: str
    status: str
    reason: str = ""
    exporter: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One command over many inputs.

    Attributes:
        workers: ``prewarmed`` or ``fresh``.
        exporter: of `EXPORTERS`.
        jobs: inputs worked on at a time.
        tools: the sequence, as on the command line.
        limits: further global arguments.
        published: what it is compared with.
        target: how many times less CPU per input than published it is to take; None where nothing is asked for.
        may_fail: whether inputs may fail, as long as they say why.
    """

    call: WatchedCall
    paths: tuple[Path, ...]
    workers: str
    exporter: str
    jobs: int
    tools: tuple[str, ...]
    limits: tuple[str, ...] = ()
    published: Published | None = None
    target: float | None = None
    may_fail: bool = False

    def work(self, retry: Iterable[str]) -> None:
        """Do what is missing; of what failed only the kinds of failure named run again."""
        if self.call.is_finished and not retry:
            return
        words = ["-i", *map(str, self.paths), "-d", str(self.call.cache), "--process-isolation"]
        words += ["--jobs", str(self.jobs), *self.limits, *(["--fresh"] if self.workers == "fresh" else [])]
        if self.call.parts:
            words += ["--retry", *(retry or ["timeout"])]
        where = f"{len(self.paths)} inputs, {self.workers}, {EXPORTERS[self.exporter]}: {self.call.errors}"
        print(where, file=sys.stderr, flush=True)
        self.call.run([*words, *self.tools])

    def endings(self) -> list[Ending]:
        """One per input, in order; `MISSING` instead of `LOST` as long as the call has not come to its end."""
        found = [_ending(self.call.cache, path.stem) for path in self.paths]
        if self.call.is_finished:
            return found
        return [each._replace(status=MISSING) if each.status == LOST else each for each in found]

    def cpu_ratio(self, published: Published) -> float:
        """How many times less CPU per input than published."""
        return published.cpu_s * len(self.paths) / max(self.call.cpu_s, 1e-3)

    def wall_ratio(self, published: Published) -> float:
        """How many times less time per input than published."""
        return published.wall_s * len(self.paths) / max(self.call.wall_s, 1e-3)

    def is_as_asked(self) -> bool:
        """Whether it is finished, nothing is lost, nothing failed that should not, and the target is met."""
        statuses = {ending.status for ending in self.endings()}
        if not self.call.is_finished or LOST in statuses or not (self.may_fail or statuses <= set(FINISHED)):
            return False
        return self.published is None or self.target is None or self.cpu_ratio(self.published) >= self.target

    def figures(self) -> str:
        """Cells: wall s, CPU s, wall s per input, CPU s per input, MiB of the largest worker."""
        call, count = self.call, len(self.paths)
        return (
            f"{call.wall_s:,.0f} | {call.cpu_s:,.0f} | {call.wall_s / count:.2f} | {call.cpu_s / count:.2f} "
            f"| {call.worker_bytes / 2**20:.0f}"
        )

    def remark(self) -> str:
        """When and on what it was run, and in how many parts."""
        dates = sorted(part.began[:10] for part in self.call.parts)
        processors = "/".join(map(str, sorted({part.processors for part in self.call.parts})))
        text = f"{self.workers}, {EXPORTERS[self.exporter]}: {' to '.join(dict.fromkeys((dates[0], dates[-1])))}"
        text += f", {self.jobs} at a time on {processors} of {os.cpu_count()} processors"
        if len(self.call.parts) > 1:
            text += f", in {len(self.call.parts)} parts, each with its own start and template"
        return text if self.call.is_finished else f"{text}; NOT FINISHED"

    def failures(self) -> list[str]:
        """Inputs that did not succeed, by cause, the most frequent first."""
        failed = [ending for ending in self.endings() if ending.status not in (*FINISHED, MISSING)]
        return [
            f"{len(alike)} × {alike[0].status}: {alike[0].reason} ({', '.join(ending.name for ending in alike)})"
            for alike in by_cause(failed, place=lambda ending: ending.status, message=lambda ending: ending.reason)
        ]


def _ending(cache: Path, name: str) -> Ending:
    try:
        state = load_state(cache, name)
    except TurnkeyError as error:
        return Ending(name, LOST, error.what)
    status, reason = state.build_status, str(state.statistics.get("reason") or "")
    if status not in (*FINISHED, *FAILED) or (status in FAILED and not reason):
        return Ending(name, LOST, f"its build says {status}, and not why")
    exporter = next((variant.exporter for variant in state.variants if variant.key == "onnx"), "")
    return Ending(name, status, reason, exporter)
