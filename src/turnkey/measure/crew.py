"""The crew of a round: what the engine asks of a worker, whether it is a process, a simulation, or in-process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from turnkey.errors import TurnkeyError
from turnkey.measure.target import TargetDescription
from turnkey.measure.warmup import WarmUp


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What loading cost, step by step (nanoseconds), and what the loaded thing says of itself.

    Attributes:
        compile_ns: None where compiling is no step of its own.
        call_ns: median of the calls that were checked, after the first: sizes the slices.
        inputs: dtype and shape of each input, ``float32[1, 8]``; of every distinct one over the samples.
        wrong: why the output is wrong; None if it is right.
        facts: `Target.describe`.
        memory: resident bytes ``after_import``, ``after_load``; absent where unknown.
        notes: plain words for the record.
    """

    import_ns: int
    load_ns: int
    compile_ns: int | None
    first_ns: int
    call_ns: float
    samples: int
    wrong: str | None
    inputs: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Fields of a process in ``run.json``."""
        return {**asdict(self), "notes": list(self.notes)}


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReport:
    """What one slice measured; fields as in `turnkey.measure.slices.Slice`."""

    t0: int
    settle: int
    ns: tuple[int, ...]
    cpu: int | None = None
    switches: int | None = None
    mhz: float | None = None
    device: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


class Worker(Protocol):
    """One loaded target. Every method may raise `WorkerLost`; after that only `kill` is called."""

    @property
    def can_sleep(self) -> bool:
        """Whether it is stopped while its peers run."""

    def arrive(self) -> None:
        """Wait until it has imported its runtime; the factory started that without waiting."""

    def load(self) -> LoadReport: ...

    def calibrate(self, *, call_ns: float) -> WarmUp: ...

    def warm(self, *, call_ns: float, n_warm: int) -> WarmUp: ...

    def slice(self, *, entries: int, inner: int) -> SliceReport: ...

    def sleep(self) -> None:
        """Stop it and its children until `wake`."""

    def wake(self) -> None: ...

    def peak_memory(self) -> int | None:
        """Largest resident size so far, bytes."""

    def kill(self) -> None:
        """End it and its children, whatever state they are in. Never raises."""


class WorkerFactory(Protocol):
    """Starts a worker: ``name`` is the key, with a suffix for the twin."""

    def __call__(self, description: TargetDescription, *, name: str, round_: int, threads: int, pad: int) -> Worker:
        """Start it and let it import, without waiting. Raises `WorkerLost` if it cannot be started."""


class WorkerLost(Exception):
    """A worker crashed, hung, spoke nonsense, or its target raised.

    Attributes:
        cause: ``crashed``, ``hung``, ``garbled`` or ``raised``.
        error: what, evidence (log tail), remedy.
        final: trying again cannot help (the user's mistake, a missing dependency).
    """

    def __init__(self, cause: str, error: TurnkeyError, *, final: bool = False) -> None:
        super().__init__(f"{cause}: {error.what}")
        self.cause = cause
        self.error = error
        self.final = final
