"""torch's process-wide defaults, remembered before a script runs (or when torch arrives) and put back afterwards.

Only what differs is written back: some of torch's setters import half of torch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class TorchDefaults:
    """Defaults at the time of construction; torch must be loaded."""

    def __init__(self) -> None:
        import torch

        matmul = torch.backends.cuda.matmul
        settings: list[tuple[Callable[[], Any], Callable[[Any], object]]] = [
            (torch.get_default_dtype, torch.set_default_dtype),
            (torch.get_num_threads, torch.set_num_threads),
            (torch.is_grad_enabled, torch.set_grad_enabled),
            (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
            (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
            (lambda: matmul.allow_tf32, lambda value: setattr(matmul, "allow_tf32", value)),
            (_deterministic_algorithms, _set_deterministic_algorithms),
        ]
        self._settings = [(read, write, read()) for read, write in settings]
        self._function_modes = torch._C._len_torch_function_stack()
        self._generator = torch.get_rng_state()

    def restore(self) -> None:
        """Put the defaults back, also a default device and modes that the script entered and never left."""
        import torch

        if torch._C._len_torch_function_stack() > self._function_modes:
            torch.set_default_device(None)
        while torch._C._len_torch_function_stack() > self._function_modes:
            torch._C._pop_torch_function_stack()
        for read, write, value in self._settings:
            if read() != value:
                write(value)
        torch.set_rng_state(self._generator)


def _deterministic_algorithms() -> tuple[bool, bool]:
    import torch

    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _set_deterministic_algorithms(value: tuple[bool, bool]) -> None:
    import torch

    torch.use_deterministic_algorithms(value[0], warn_only=value[1])
