"""What every runner that computes with torch says of itself."""

from __future__ import annotations

from typing import Any


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
