"""The versions that a result depends on: stored with every state, part of the key that decides what is repeated."""

from __future__ import annotations

import platform
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from turnkey.version import __version__

_PACKAGES = (
    *("torch", "onnx", "onnxruntime", "openvino", "executorch", "tensorrt"),
    *("onnxscript", "onnx-ir", "onnxslim", "nncf", "torchao", "emx-onnx-cgen"),
)
"""What executes models, and what makes their files."""


@cache
def versions() -> dict[str, str]:
    """Installed versions by package; of Turnkey itself major and minor only. Reads metadata, imports nothing."""
    found = {"turnkey": ".".join(__version__.split(".")[:2]), "python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
