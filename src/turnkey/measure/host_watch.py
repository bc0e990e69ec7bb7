"""The host around a piece of work: read before and after it, so that what happened in between can be told."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from turnkey.errors import MissingDependencyError
from turnkey.measure import environment, gpu
from turnkey.measure.environment import Pulse, Span
from turnkey.measure.target import TargetDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """What was read before the work: the host, and the CPU seconds of this process."""

    pulse: Pulse
    process_s: float


class HostWatch:
    """Reads the host between passes, never inside a slice.

    Args:
        pulse: reads the host now.
        in_process: the work is this process's own, and so is its CPU time.

    Attributes:
        joules: energy counter of the processor packages; None where there is none.
    """

    def __init__(self, pulse: Callable[[], Pulse] = environment.pulse, *, in_process: bool = False) -> None:
        self._pulse = pulse
        self.in_process = in_process
        self.joules = environment.joules if environment.joules() is not None else None

    def begin(self) -> Beginning:
        """Before the work."""
        return Beginning(pulse=self._pulse(), process_s=time.process_time())

    def end(self, beginning: Beginning, *, workers_ns: int = 0) -> Span:
        """After the work, for which workers used so much CPU time."""
        ours_s = time.process_time() - beginning.process_s
        if not self.in_process:
            ours_s += workers_ns / 1e9
        return environment.span(beginning.pulse, self._pulse(), ours_s=ours_s)


def watch_of(targets: Sequence[TargetDescription]) -> tuple[HostWatch, tuple[str, ...]]:
    """The watch for these targets, which reads the GPU where one is measured, and why it does not."""
    devices = [device for target in targets if (device := str(target.facts.get("device", "cpu"))).startswith("cuda")]
    if not devices:
        return HostWatch(), ()
    try:
        library = gpu.nvml()
        read = partial(gpu.read, library, gpu.nvml_index(library, devices[0]))
    except MissingDependencyError as error:
        return HostWatch(), (f"gpu-unread: {error.what}: {error.evidence}",)
    return HostWatch(partial(environment.pulse, gpu=read)), ()
