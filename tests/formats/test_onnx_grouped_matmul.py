"""Products of rows grouped by expert, as ONNX, against torch's own."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import torch
from sources import run_file, source_of, torchvision_operators
from torch import nn

from turnkey.formats import ConvertRequest
from turnkey.formats.onnx_export import FORMAT, OnnxExportSettings
from turnkey.formats.onnx_grouped_matmul import grouped_matmul


@pytest.mark.parametrize(
    "ends", [(2, 5, 7), (0, 7, 7), (0, 0, 0), (3, 3, 5)], ids=["all", "empty groups", "no rows", "rows left over"]
)
def test_every_row_meets_the_weights_of_its_expert_and_what_is_left_is_zero(ends: tuple[int, ...]) -> None:
    generator = np.random.default_rng(0)
    rows = generator.standard_normal((7, 4)).astype(np.float32)
    weights = generator.standard_normal((3, 4, 5)).astype(np.float32)
    expected, start = np.zeros((7, 5), np.float32), 0
    for expert, end in enumerate(ends):
        expected[start:end] = rows[start:end] @ weights[expert]
        start = max(start, end)

    found = grouped_matmul(rows, weights, np.asarray(ends, np.int32))

    np.testing.assert_allclose(found.value, expected, rtol=1e-5, atol=1e-6)


class Experts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.route = nn.Linear(4, 3)
        self.weights = nn.Parameter(torch.randn(3, 5, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        chosen, order = torch.sort(self.route(x).argmax(1))
        ends = torch.cumsum(torch.histc(chosen.float(), bins=3, min=0, max=2), 0, dtype=torch.int32)
        products = torch.ops.transformers.grouped_mm_fallback(x[order], self.weights.transpose(1, 2), offs=ends)
        return products[torch.argsort(order)]


@pytest.mark.slow
@pytest.mark.needs("transformers")
def test_experts_as_transformers_captures_them_are_exported_with_any_number_of_rows(tmp_path: Path) -> None:
    with torchvision_operators():
        importlib.import_module("transformers.integrations.moe")
    torch.manual_seed(0)
    module = Experts().eval()
    source = source_of(module, torch.randn(6, 4))
    settings = OnnxExportSettings(opset=20, exporter="dynamo", dynamic=())

    conversion = FORMAT.convert(ConvertRequest(source=source, path=tmp_path / "m.onnx", settings=settings))

    x = torch.randn(11, 4)
    assert conversion.attempts[-1]["axes"] == "batch = x:0"
    np.testing.assert_allclose(
        run_file(conversion.path, {"x": x.numpy()})["output"], module(x).detach().numpy(), rtol=1e-4, atol=1e-5
    )
