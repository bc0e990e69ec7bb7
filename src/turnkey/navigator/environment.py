"""The machine of a run, under the documented keys. A probe that fails is a null, never an error."""

from __future__ import annotations

import platform
import sys
from typing import Any

from turnkey import host


def describe() -> dict[str, Any]:
    """Plain data for ``status.yaml``: of the running interpreter and the host it runs on."""
    gpus, _ = host.gpus()
    packages = _packages()
    return {
        "cpu": {
            "name": host.processor(),
            "physical_cores": host.physical_cores(),
            "logical_cores": len(host.affinity_cpus()),
            **_frequencies(),
        },
        "memory": f"{host.memory_bytes() / 2**30:.1f}G",
        "gpu": _gpu(gpus[0]) if gpus else {},
        "os": {"name": sys.platform, "platform": platform.platform(), "release": platform.release()},
        "python_version": platform.python_version(),
        "python_packages": packages,
        "libraries": {name: packages[name] for name in _LIBRARIES if name in packages},
    }


_LIBRARIES = ("torch", "onnx", "onnxruntime", "openvino", "numpy", "turnkey")


def _gpu(found: host.Gpu) -> dict[str, Any]:
    return {
        "name": found.name,
        "driver_version": found.driver,
        "memory": f"{found.memory_bytes / 2**30:.1f}G",
        "tdp": None,
        "cuda_version": None,
    }


def _packages() -> dict[str, str]:
    from importlib.metadata import distributions

    found = {}
    for distribution in distributions():
        name = distribution.metadata["Name"] if distribution.metadata is not None else None
        if name:
            found[str(name)] = str(distribution.version)
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _frequencies() -> dict[str, float | None]:
    import psutil

    try:
        found = psutil.cpu_freq()
    except (OSError, NotImplementedError, RuntimeError):  # machines and containers that do not tell
        found = None
    return {
        "min_frequency": None if found is None else found.min or None,
        "max_frequency": None if found is None else found.max or None,
    }
