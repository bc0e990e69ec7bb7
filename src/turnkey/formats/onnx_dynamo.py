"""The exporter through ``torch.export``: the path that torch maintains."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch

from turnkey.formats.dynamic_axes import DynamicAxes
from turnkey.formats.torch_call import PositionalCall

NAME = "dynamo"
LOWEST_OPSET = 18
"""What torch's translation is written in; a lower one is reached by onnx's version converter afterwards."""


def export(
    call: PositionalCall,
    tensors: tuple[torch.Tensor, ...],
    *,
    path: Path,
    output_names: Sequence[str],
    opset: int,
    axes: DynamicAxes,
) -> tuple[str, ...]:
    """Write ``path``; the caller holds evaluation mode. Returns notes. Raises whatever torch raises."""
    shapes = tuple(dict(axes.symbols[name]) if axes.symbols.get(name) else None for name in call.input_names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            call,
            tensors,
            dynamo=True,
            opset_version=opset,
            dynamic_shapes={"tensors": shapes} if axes else None,
            verbose=False,
            optimize=True,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(path))
    if opset < LOWEST_OPSET:
        return (f"opset {opset} by version conversion from {LOWEST_OPSET}",)
    return ()
