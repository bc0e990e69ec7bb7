"""Small models that the tests decorate, and settings under which they are quickly benchmarked."""

from __future__ import annotations

import torch
from torch import nn

from turnkey import Lexer

FAST = {"exporter": "torchscript", "enable_stdout": False}
SHORT = {**FAST, "num_iterations": 3}
ONLY_TORCH = {"enable_onnxruntime": False, "enable_onnx_checks": False}


@Lexer(input_names=["x"], output_names=["y"], exporter="torchscript")
class Tiny(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.linear = nn.Linear(width, 3)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(values))


class Child(Tiny):
    """Of a decorated class, itself without decorator."""


@Lexer(input_names=["left", "right"], output_names=["total", "product"], exporter="torchscript")
class TwoInTwoOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"sum": self.linear(first) + second, "times": first * second}


@Lexer(exporter="torchscript")
class Noisy(nn.Module):
    """Dropout and batch norm: what changes where a model is left in training mode."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(4)
        self.linear = nn.Linear(4, 4)
        self.drop = nn.Dropout(0.5)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.drop(self.linear(self.norm(x)))


class Unsure(nn.Module):
    """Never twice the same: no file can agree with it."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + torch.rand(4)
