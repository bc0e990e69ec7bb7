"""What a report shows of a measurement record: warm-up, timed slices in time order, verdicts, environment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.measure import LoadResult, Record, journal
from turnkey.measure.statistics import slice_log

_DOTS = 240
_WARM_POINTS = 70
Points = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The records of one build, as far as they can be read.

    Attributes:
        records: of comparisons, by their path as the state names it.
        loads: of load shapes found beside them.
        unreadable: why others could not be read.
    """

    records: Mapping[str, Record]
    loads: tuple[LoadResult, ...]
    unreadable: tuple[str, ...]


def read_records(build_dir: Path, names: Sequence[str], *, with_samples: bool) -> Recorded:
    """Read the records that a state names, and those of load shapes that lie beside them.

    Args:
        with_samples: False reads verdicts, looks and environment alone, an order of magnitude faster.
    """
    records: dict[str, Record] = {}
    loads: list[LoadResult] = []
    unreadable: list[str] = []
    for name in dict.fromkeys(names):
        try:
            found = read_record(build_dir / name, with_samples=with_samples)
        except TurnkeyError as error:
            unreadable.append(f"{name}: {error.what}")
            continue
        if isinstance(found, LoadResult):
            loads.append(found)
        else:
            records[name] = found
    others = sorted(path for path in build_dir.glob("runs/*.zip") if f"runs/{path.name}" not in names)
    for path in others:
        try:
            loads.append(LoadResult.load(path))
        except TurnkeyError:
            continue  # an earlier comparison, which the state no longer names
    return Recorded(records=records, loads=tuple(loads), unreadable=tuple(unreadable))


def read_record(path: Path, *, with_samples: bool = True) -> Record | LoadResult:
    """A record, of a comparison or of a load shape.

    Args:
        with_samples: as for `read_records`; load shapes are read in full.

    Raises:
        InputError: there is nothing at the path.
        ArtifactError: it is no record.
    """
    run, _ = journal.read(path, with_slices=False)
    if "shape" in run:
        return LoadResult.load(path)
    return Record.load(path) if with_samples else Record({"rounds": [], "looks": [], **run}, (), path=path)


def slice_points(record: Record, key: str) -> Points:
    """(seconds since the first slice, median milliseconds) of each timed slice in time order, evenly thinned."""
    begin = min((item.t0 for item in record.slices if item.kind == "timed"), default=0)
    found = [
        ((item.t0 - begin) / 1e9, math.exp(slice_log(item)) / 1e6)
        for _, items in sorted(record.timed.get(key, {}).items())
        for item in items
    ]
    step = math.ceil(len(found) / _DOTS)
    return sorted(found)[:: max(step, 1)]


def warm_up_points(record: Record, key: str) -> Points:
    """(number of the call, milliseconds) of the first warm-up that was recorded, denser at its beginning."""
    for kind in ("calibration", "warm"):
        item = next((item for item in record.slices if item.v == key and item.kind == kind), None)
        if item is not None and item.ns:
            break
    else:
        return []
    steps = range(_WARM_POINTS + 1)
    places = sorted({round(math.exp(math.log(len(item.ns)) * step / _WARM_POINTS)) for step in steps})
    return [(float(place), item.ns[place - 1] / item.inner / 1e6) for place in places if place <= len(item.ns)]


def verdicts(record: Record) -> dict[str, Mapping[str, Any]]:
    """The verdicts of a finished record by candidate, as it keeps them; computed where it is unfinished."""
    kept = record.run.get("verdicts") or record.verdicts_json()
    return {str(item["key"]): item for item in kept}
