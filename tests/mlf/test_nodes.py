"""A sample of onnx's own node tests through a tarball; `benchmarks/mlf_nodes.py` runs all of them."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import turnkey.mlf as mlf

pytestmark = pytest.mark.needs("emx_onnx_cgen")

CASES = {
    "bitshift": ["test_bitshift_right_int32_negative_shift", "test_bitshift_left_uint8"],
    "conv": ["test_conv_with_strides_padding"],
    "loop": ["test_loop11"],
    "gru": ["test_gru_bidirectional"],
    "resize": ["test_resize_downsample_scales_linear"],
    "scan": ["test_scan_sum"],
    "softmax": ["test_softmax_axis_1"],
    "spacetodepth": ["test_spacetodepth_crd_mode_example"],
    "topk": ["test_top_k"],
}


@pytest.fixture(scope="module")
def nodes(benchmark_module: Callable[[str], Any]) -> Any:
    return benchmark_module("mlf_nodes")


@pytest.mark.parametrize(("operator", "name"), [(op, name) for op, names in CASES.items() for name in names])
def test_the_case_passes_within_its_own_tolerances(nodes: Any, operator: str, name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the cases provoke overflows on purpose
        importlib.import_module(f"onnx.backend.test.case.node.{operator}")
        from onnx.backend.test.case.node import _NodeTestCases

    case = next(case for case in _NodeTestCases if case.name == name)
    model, data_sets = nodes.model_and_data(case)
    mlf.export(model, tmp_path / "case.tar", name="case", compile=False, executor="aot", optimize="none")
    module = mlf.load(tmp_path / "case.tar").module()
    runner = module.build(cflags=("-O0",))
    for inputs, expected in data_sets:
        sample = {
            tensor.name: np.asarray(value, tensor.dtype) for tensor, value in zip(module.inputs, inputs, strict=True)
        }
        outputs = runner.run(sample)
        for tensor, value in zip(module.outputs, expected, strict=True):
            assert not nodes.difference(np.asarray(value), outputs[tensor.name], case.rtol, case.atol)


def test_every_exception_of_the_node_tests_has_a_reason(nodes: Any) -> None:
    lines = nodes.EXCEPTIONS.read_text().splitlines()
    named = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    assert all(len(parts) == 2 and parts[0].startswith("test_") for parts in named)
    assert len([parts for parts in named if parts[1] != "training operator"]) == 21
