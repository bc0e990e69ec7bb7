"""Why something of a record must not be used, collected over its processes, rounds and candidates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from turnkey.measure import validity, warmup
from turnkey.measure.environment import Span
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.validity import Reason

if TYPE_CHECKING:
    from turnkey.measure.record import Record


def reasons_of(record: Record) -> tuple[Reason, ...]:
    """The first reason of each code for each candidate; empty if all of the record may be used."""
    return validity.first_of_each(_all(record))


def _all(record: Record) -> Iterator[Reason]:
    run, processes = record.run, record.processes
    for entry in run["variants"]:
        if entry.get("status") in ("crashed", "failed") and entry.get("error"):
            yield validity.reason("crashed", entry["error"].get("what", "it crashed"), key=entry["key"])
    for process in processes.all:
        if not process["v"].endswith(TWIN_SUFFIX):
            yield from validity.of_process(process["v"], process)
    if not record.settings.compare_threads:
        told = processes.threads()
        yield from validity.of_threads(
            {entry["key"]: told.get(entry["key"], entry["threads"]) for entry in run["variants"]}
        )
    yield from validity.of_host([Span(**span) for entry in run["rounds"] for span in entry["spans"]])
    for key in record.measured:
        yield from validity.of_warm_up(key, [process for process in processes.in_rounds if process["v"] == key])
    by_round = _by_round(record)
    for key in record.measured:
        if warmup.still_warming(by_round, key, twin=key + TWIN_SUFFIX):
            yield validity.reason("no-steady-state", "it went on getting faster inside its rounds", key=key)
    for key in record.measured if record.settings.windows else ():
        windows = record.windows(key)
        if not windows.stable:
            yield validity.reason("unstable", f"no agreement in {windows.trials} windows", key=key)
    if record.pairs.floor().is_biased:
        yield validity.reason("aa-difference", f"the twin differs from its original by {record.noise_floor:.1%}")
    if run.get("layout") == "contiguous":
        yield validity.reason("not-interleaved", "no two variants fit into memory together")


def _by_round(record: Record) -> dict[int, dict[str, Sequence[Slice]]]:
    found: dict[int, dict[str, Sequence[Slice]]] = {}
    for name, rounds in record.timed.items():
        for r, items in rounds.items():
            found.setdefault(r, {})[name] = items
    return found
