"""Matrix products through a tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_networks import products
from several import Several, check, exported, kinds

pytestmark = pytest.mark.needs("emx_onnx_cgen")

_EXTENT = st.integers(1, 40)
_SHAPES = st.lists(st.tuples(_EXTENT, _EXTENT, _EXTENT, st.integers(1, 3)), min_size=4, max_size=4)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes=_SHAPES)
def test_products_of_any_shape_are_those_of_onnx_runtime(
    shapes: list[tuple[int, int, int, int]], tmp_path: Path
) -> None:
    several = Several()
    for m, n, k, stack in shapes:
        several.output(several.add("MatMul", several.input(m, k), several.weight(k, n)))
        several.output(several.add("MatMul", several.input(stack, m, k), several.input(1, k, n)))
        bias = several.weight(n)
        product = several.add(
            "Gemm", several.input(k, m), several.weight(n, k), bias, transA=1, transB=1, alpha=0.5, beta=2.0
        )
        several.output(several.add("Relu", product))
    module = exported(several.model(), tmp_path / "several.tar")
    assert "generated" not in kinds(module)
    check(several, module, cflags=("-O1", "-march=native"))


def test_transpositions_scales_biases_residuals_and_activations_are_part_of_the_product(tmp_path: Path) -> None:
    several = Several()
    products(several)
    module = exported(several.model(), tmp_path / "several.tar")
    nodes = [" ".join(kernel["nodes"]) for kernel in module.metadata.turnkey["kernels"]]
    assert [text for text in nodes if "Transpose" in text] == [
        text for text in nodes if "Transpose" in text and "MatMul" in text
    ]
    assert any("MatMul" in text and "Mul(" in text for text in nodes)
    assert any("MatMul" in text and "Erf" in text for text in nodes)
    check(several, module, cflags=("-O1", "-march=native"))
