"""In which format runtimes see a variant's file, which is not always the one that it was converted to."""

from __future__ import annotations

from turnkey.pipeline.state import Variant


def stored_as(variant: Variant) -> str:
    """Name of a format: ``onnx`` for every ONNX file, whatever made it."""
    if variant.path.endswith(".onnx"):  # without importing the exporter, and with it torch
        return "onnx"
    from turnkey.formats import find_format

    return find_format(variant.format).stored_as
