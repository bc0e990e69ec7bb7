"""What every runner that computes with torch says of itself, and the devices that torch has."""

from __future__ import annotations

from typing import Any

from turnkey.errors import UsageError


def torch_facts(device: str) -> dict[str, Any]:
    """Version, device and threads, for `Runner.describe`; nothing falls back, and nothing is noted yet."""
    import torch

    return {
        "runtime_version": torch.__version__,
        "device": device if device == "cpu" else torch.cuda.get_device_name(device),
        "threads": torch.get_num_threads(),
        "placement": {},
        "fallback": None,
        "notes": [],
    }


def require_device(device: str) -> None:
    """Raises UsageError where torch does not have the device."""
    import torch

    if device != "cpu" and not (device.startswith("cuda") and torch.cuda.is_available()):
        raise UsageError(
            f"torch has no device {device!r} here",
            evidence=f"torch {torch.__version__}, CUDA available: {torch.cuda.is_available()}",
            remedy="turnkey ... benchmark --device cpu",
        )
