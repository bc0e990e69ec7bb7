"""torch's process-wide defaults, remembered before a script runs (or when torch arrives) and put back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class TorchDefaults:
    """Defaults at the time of construction; torch must be loaded."""

    def __init__(self) -> None:
        import torch

        self._generator = torch.get_rng_state()
        cuda = torch.backends.cuda.matmul
        self._pairs: list[tuple[Callable[[Any], object], Any]] = [
            (torch.set_default_dtype, torch.get_default_dtype()),
            (torch.set_num_threads, torch.get_num_threads()),
            (torch.set_grad_enabled, torch.is_grad_enabled()),
            (torch.set_float32_matmul_precision, torch.get_float32_matmul_precision()),
            (torch.autograd.set_detect_anomaly, torch.is_anomaly_enabled()),
            (lambda value: setattr(cuda, "allow_tf32", value), cuda.allow_tf32),
            (torch.set_flush_denormal, False),
        ]
        self._deterministic = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        self._function_modes = torch._C._len_torch_function_stack()

    def restore(self) -> None:
        """Put the defaults back, also a default device and modes that the script entered and never left."""
        import torch

        torch.set_default_device(None)
        while torch._C._len_torch_function_stack() > self._function_modes:
            torch._C._pop_torch_function_stack()
        for write, value in self._pairs:
            write(value)
        enabled, warn_only = self._deterministic
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
        torch.set_rng_state(self._generator)
