"""One export of a call to one ONNX file: what every exporter is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from turnkey.formats.dynamic_axes import DynamicAxes
from turnkey.formats.torch_call import PositionalCall


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportJob:
    """What to write.

    Attributes:
        call: the module's call with tensors by position.
        tensors: example inputs in the order of the call.
        path: where to write.
        output_names: of the file's outputs, where the exporter takes names.
        opset: of the standard operators.
        axes: that may vary.
    """

    call: PositionalCall
    tensors: tuple[torch.Tensor, ...]
    path: Path
    output_names: tuple[str, ...]
    opset: int
    axes: DynamicAxes
