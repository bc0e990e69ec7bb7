"""Calls of a torch module on a CUDA device, timed by events on its stream: copies and computing apart.

Scope: the stream that is current in the calling thread, which is where the runner's calls go. Not run on a device
yet; without one nothing imports this.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_PARTS = ("copy_in", "device", "copy_out")


class CudaTimer:
    """The runner's call with an event before, between and after its three parts.

    Args:
        to_device, compute, to_host: the parts, each taking what the one before returned.
        device: ``cuda``, ``cuda:1``.
    """

    def __init__(
        self,
        *,
        to_device: Callable[[Any], Any],
        compute: Callable[[Any], Any],
        to_host: Callable[[Any], Any],
        device: str,
    ) -> None:
        self._steps = (to_device, compute, to_host)
        self._device = device
        self._spare: list[tuple[Any, ...]] = []
        self._recorded: list[tuple[Any, ...]] = []
        self._buffer: Any = None

    def run(self, prepared: Any) -> Any:
        """One call; ends when the outputs can be read in host memory."""
        events = self._spare.pop() if self._spare else self._events()
        value = prepared
        events[0].record()
        for step, event in zip(self._steps, events[1:], strict=True):
            value = step(value)
            event.record()
        self._recorded.append(events)
        return value

    def read(self) -> Mapping[str, list[int]]:
        """Nanoseconds of each part of each call since the last reading."""
        import torch

        torch.cuda.synchronize(self._device)
        found: dict[str, list[int]] = {part: [] for part in _PARTS}
        for events in self._recorded:
            for part, begin, end in zip(_PARTS, events, events[1:], strict=False):
                found[part].append(round(begin.elapsed_time(end) * 1e6))
        self._spare += self._recorded
        self._recorded = []
        return found

    def flush(self) -> None:
        """Overwrite a buffer as large as the L2 cache."""
        import torch

        if self._buffer is None:
            size = torch.cuda.get_device_properties(self._device).L2_cache_size
            self._buffer = torch.empty(max(size, 1), dtype=torch.int8, device=self._device)
        self._buffer.zero_()
        torch.cuda.synchronize(self._device)

    def _events(self) -> tuple[Any, ...]:
        import torch

        return tuple(torch.cuda.Event(enable_timing=True) for _ in range(len(_PARTS) + 1))
