"""Matrix products through a tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from several import Several, check, exported, kinds

pytest.importorskip("emx_onnx_cgen", reason="emx-onnx-cgen is not installed (extra mlf)")

_EXTENT = st.integers(1, 40)
_SHAPES = st.lists(st.tuples(_EXTENT, _EXTENT, _EXTENT, st.integers(1, 3)), min_size=6, max_size=6)


def attention(several: Several, length: int, heads: int, width: int) -> str:
    """Scaled products of queries and keys, softmax, and the mean of values, each head apart."""
    shape = (1, length, heads, width)
    query = several.add("Transpose", several.input(*shape), perm=[0, 2, 1, 3])
    key = several.add("Transpose", several.input(*shape), perm=[0, 2, 3, 1])
    value = several.add("Transpose", several.input(*shape), perm=[0, 2, 1, 3])
    scale = several.constant(np.float32(width**-0.5))
    scores = several.add("Mul", several.add("MatMul", query, key), scale)
    mixed = several.add("MatMul", several.add("Softmax", scores, axis=-1), value)
    return several.add("Transpose", mixed, perm=[0, 2, 1, 3])


def feed_forward(several: Several, length: int, width: int, wide: int) -> str:
    """Two products with biases, GELU in nodes of its own between them, and a residual."""
    x = several.input(1, length, width)
    y = several.add("Add", several.add("MatMul", x, several.weight(width, wide)), several.weight(wide))
    error = several.add("Erf", several.add("Div", y, several.constant(np.float32(2**0.5))))
    bent = several.add("Mul", y, several.add("Add", error, several.constant(np.float32(1))))
    bent = several.add("Mul", bent, several.constant(np.float32(0.5)))
    return several.add("Add", several.add("MatMul", bent, several.weight(wide, width)), x)


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


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Several, Path]:
    """Products in every place in which a network has them."""
    several = Several()
    several.output(
        several.add("MatMul", several.input(7), several.input(7, 9)),
        several.add("MatMul", several.input(4, 7), several.input(7)),
        several.add("MatMul", several.input(7), several.weight(7)),
        several.add("MatMul", several.input(3, 5, 7), several.weight(3, 7, 20)),
        several.add("MatMul", several.weight(5, 7), several.input(3, 7, 20)),
        several.add("Gemm", several.input(5, 6), several.weight(6, 4), several.weight(5, 4), beta=0.5),
        several.add("Gemm", several.input(5, 6), several.input(6, 4), several.input(5, 4)),
        attention(several, 8, 4, 16),
        attention(several, 5, 2, 6),
        feed_forward(several, 6, 20, 33),
    )
    path = tmp_path_factory.mktemp("products") / "several.tar"
    exported(several.model(), path)
    return several, path


def test_transpositions_scales_biases_residuals_and_activations_are_part_of_the_product(
    networks: tuple[Several, Path],
) -> None:
    import turnkey.mlf as mlf

    names = [kernel["nodes"] for kernel in mlf.load(networks[1]).module().metadata.turnkey["kernels"]]
    assert any("Transpose" in str(nodes) and "MatMul" in str(nodes) and "Mul(" in str(nodes) for nodes in names)
    assert any("Erf" in str(nodes) and "MatMul" in str(nodes) for nodes in names)
    assert not any(str(nodes).startswith("['Transpose") and "MatMul" not in str(nodes) for nodes in names)


def test_plain_c99_under_sanitizers_gives_the_same(networks: tuple[Several, Path]) -> None:
    import turnkey.mlf as mlf

    several, path = networks
    flags = ("-O1", "-std=c99", "-pedantic-errors", "-DTURNKEY_MLF_SCALAR")
    check(several, mlf.load(path).module(), cflags=flags)
