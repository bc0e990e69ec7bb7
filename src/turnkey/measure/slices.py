"""A slice: what one variant's process did while all its peers slept. One line of ``samples.jsonl``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from turnkey.errors import ArtifactError

KINDS = ("calibration", "warm", "timed", "load")
TWIN_SUFFIX = "~twin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Timed calls of one process without a pause.

    Attributes:
        v: key of the variant; its A/A control has the suffix ``~twin``.
        r: round, from 1; 0 is the calibration.
        p: pass of the round, from 0; -1 where the kind has no passes.
        pos: position in the pass.
        kind: one of `KINDS`.
        t0: start on the host's monotonic clock, nanoseconds.
        settle: duration of the settling call, nanoseconds; kept, never counted; None where there is none.
        inner: calls per entry of ``ns``; above 1 for calls too short to be timed one by one.
        ns: durations of the timed calls (of ``inner`` calls each), nanoseconds, in time order.
        cpu: CPU time of the process over the slice, nanoseconds.
        switches: context switches of the process over the slice.
        mhz: frequency of the first CPU after the slice; None where it cannot be read.
        attempt: 0, or 1 for the process that replaced one that died in this round.
        flags: ``disturbed`` and the like.
        at: kind ``load`` only: when each call began or was scheduled, nanoseconds after ``t0``.
        device: durations of the same calls by events on the device, nanoseconds, by part: ``device`` (computing),
            ``copy_in``, ``copy_out``; empty where there is no device, or for inner loops.
    """

    v: str
    r: int
    p: int
    pos: int
    kind: str
    t0: int
    settle: int | None
    ns: tuple[int, ...]
    inner: int = 1
    cpu: int | None = None
    switches: int | None = None
    mhz: float | None = None
    attempt: int = 0
    flags: tuple[str, ...] = ()
    at: tuple[int, ...] = ()
    device: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        """Timed calls in this slice."""
        return len(self.ns) * self.inner

    def to_json(self) -> dict[str, Any]:
        fields = asdict(self)
        for name in ("at", "device"):
            if not fields[name]:
                del fields[name]
        return fields

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], *, where: str) -> Slice:
        """Read one line of ``samples.jsonl``.

        Raises:
            ArtifactError: unknown or missing fields, or values of the wrong kind; ``where`` is the evidence.
        """
        try:
            lists = {name: tuple(fields.get(name, ())) for name in ("flags", "at")}
            device = {str(part): tuple(times) for part, times in fields.get("device", {}).items()}
            made = cls(**{**fields, **lists, "ns": tuple(fields["ns"]), "device": device})
        except (TypeError, KeyError, AttributeError) as error:
            raise ArtifactError("a line of the samples is not a slice", evidence=f"{where}: {error}") from error
        sound = (
            isinstance(made.v, str)
            and made.kind in KINDS
            and isinstance(made.inner, int)
            and made.inner >= 1
            and all(type(value) is int and value > 0 for value in made.ns)
            and all(type(value) is int and value >= 0 for times in device.values() for value in times)
            and all(type(value) is int for value in (made.r, made.p, made.pos, made.t0, made.attempt))
        )
        if not sound:
            raise ArtifactError("a line of the samples holds values that no slice has", evidence=where)
        return made


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
