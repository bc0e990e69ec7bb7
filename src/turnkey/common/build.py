"""``DEFAULT_ONNX_OPSET``, where the Tools User Guide documents it: the value in effect when it is looked up."""

from __future__ import annotations

from turnkey import settings


def __getattr__(name: str) -> int:
    if name == "DEFAULT_ONNX_OPSET":
        return settings.onnx_opset()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
