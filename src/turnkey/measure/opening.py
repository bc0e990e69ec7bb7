"""How an experiment opens: a checked request, and a fresh ``run.json`` or an unfinished one of the same plan."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from turnkey.errors import TurnkeyError, UsageError
from turnkey.measure import environment, journal
from turnkey.measure.journal import Journal
from turnkey.measure.plan import Settings
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.target import TargetDescription
from turnkey.version import __version__


def fresh_run(
    targets: Sequence[TargetDescription],
    *,
    threads: Mapping[str, int],
    settings: Settings,
    reference: str | None,
    notes: Sequence[str],
    is_real: bool,
) -> dict[str, Any]:
    """``run.json`` before anything was measured; a simulation has no environment."""
    head = heading(settings, is_real=is_real)
    if head["environment"].get("turbo"):
        notes = (*notes, "turbo: clocks rise above the nominal one while the processor is cool")
    if settings.inputs == "same":
        notes = (*notes, "same-input: one sample again and again, whose data may stay in the caches")
    return {
        **head,
        "reference": reference,
        "layout": "interleaved",
        "yardstick": None,
        "variants": [
            {
                "key": target.key,
                "factory": target.factory,
                "threads": threads[target.key],
                "interpreter": target.interpreter,
                "facts": dict(target.facts),
                "status": "live",
                "error": None,
                "notes": [],
            }
            for target in targets
        ],
        "calibration": [],
        "calibration_slices": 0,
        "rounds": [],
        "looks": [],
        "verdicts": [],
        "validity": [],
        "notes": list(notes),
    }


def heading(settings: Settings, *, is_real: bool) -> dict[str, Any]:
    """What stands first in ``run.json`` of any measurement; a simulation has no environment."""
    return {
        "schema": journal.SCHEMA,
        "tool": {"name": "turnkey", "version": __version__},
        "state": "growing",
        "utc": datetime.now(UTC).isoformat(timespec="seconds"),
        "seed": settings.seed,
        "settings": settings.to_json(),
        "environment": environment.probe() if is_real else {},
    }


def unfinished(
    found: Journal,
    fresh: Mapping[str, Any],
    *,
    tell: Callable[[str], None],
    complete: Callable[[dict[str, Any], list[Slice]], tuple[dict[str, Any], list[Slice]]] = journal.complete_rounds,
) -> tuple[dict[str, Any], list[Slice]] | None:
    """What can be continued of an unfinished record in the journal's place, if it is of the same plan; else None.

    Args:
        fresh: ``run.json`` of the plan, before anything was measured.
        complete: takes away what an interruption left half done.
    """
    directory = found.directory
    if directory is None or not (directory / journal.RUN).exists():
        return None
    try:
        run, slices = journal.read(directory)
    except TurnkeyError as error:
        tell(f"an unfinished record cannot be continued, starting anew: {error.what}")
        return None
    same = ("schema", "settings", "reference", "shape", "tool")  # another schema has another rule for its units
    if any(run.get(name) != fresh.get(name) for name in same) or _plan(run) != _plan(fresh):
        return None
    return complete(run, slices)


def is_finished(
    run: Mapping[str, Any], targets: Sequence[TargetDescription], *, settings: Settings, reference: str | None
) -> bool:
    """Whether ``run`` is a finished record of these targets under these settings, by this version."""

    def plain(value: Any) -> str:
        return json.dumps(value, sort_keys=True)

    asked = [[target.key, target.factory, target.interpreter, dict(target.facts)] for target in targets]
    held = [[entry.get(name) for name in ("key", "factory", "interpreter", "facts")] for entry in run["variants"]]
    return (
        run["state"] == "finished"
        and run["tool"]["version"] == __version__
        and run["reference"] == reference
        and plain(run["settings"]) == plain(settings.to_json())
        and plain(held) == plain(asked)
    )


def check(targets: Sequence[TargetDescription], reference: str | None) -> None:
    """Refuse what cannot be an experiment.

    Raises:
        UsageError: no target, two of one key, a key that a twin would have, an unknown reference.
    """
    keys = [target.key for target in targets]
    if not keys:
        raise UsageError("there is nothing to measure")
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        raise UsageError("two targets have the same key", evidence=", ".join(twice))
    odd = [key for key in keys if key.endswith(TWIN_SUFFIX) or not key]
    if odd:
        raise UsageError(f"a key must not be empty nor end in {TWIN_SUFFIX}", evidence=repr(odd))
    if reference is not None and reference not in keys:
        raise UsageError(f"the reference {reference!r} is not among the targets", evidence=f"keys: {', '.join(keys)}")


def _plan(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What must agree before two runs of an experiment are one."""
    return [{**entry, "status": "", "error": None, "notes": []} for entry in run.get("variants", ())]
