"""Element-wise chains and operators over rows, through one tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kernel_networks import rows
from several import Several, check, exported, kinds

pytestmark = pytest.mark.needs("emx_onnx_cgen")

_UNARY = ("Relu", "Sigmoid", "Tanh", "Exp", "Erf", "Neg", "Abs", "HardSwish", "HardSigmoid", "LeakyRelu", "Gelu")
_BINARY = ("Add", "Sub", "Mul")
_STEPS = st.lists(
    st.tuples(st.sampled_from(_UNARY), st.sampled_from(_BINARY), st.sampled_from([0, 1, 2, 3])), min_size=1, max_size=5
)
_SHAPE = st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 20))


def chain(several: Several, shape: tuple[int, int, int], steps: list[tuple[str, str, int]]) -> str:
    """Operators one after the other, beside broadcast tensors; the first value is used again."""
    first = value = several.input(*shape)
    for unary, binary, kept in steps:
        value = several.add(unary, several.add("Tanh", value))  # Tanh keeps numbers small
        value = several.add(
            binary, value, several.input(*(extent if kept >> axis & 1 else 1 for axis, extent in enumerate(shape)))
        )
    return several.add("Mul", value, first)


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(chains=st.lists(st.tuples(_SHAPE, _STEPS), min_size=5, max_size=5))
def test_a_chain_of_operators_is_one_kernel(
    chains: list[tuple[tuple[int, int, int], list[tuple[str, str, int]]]], tmp_path: Path
) -> None:
    several = Several()
    for shape, steps in chains:
        several.output(chain(several, shape, steps))
    module = exported(several.model(), tmp_path / "several.tar")
    assert {*kinds(module)} == {"elementwise"}
    assert len(kinds(module)) <= len(chains)
    check(several, module, cflags=("-O1", "-march=native"))


def test_rows_of_any_length_and_results_that_are_read_twice(tmp_path: Path) -> None:
    several = Several()
    rows(several)
    module = exported(several.model(), tmp_path / "several.tar")
    assert "generated" not in kinds(module)
    check(several, module, cflags=("-O1", "-march=native"))


def test_batch_normalisations_without_a_convolution_in_front_fuse_with_what_follows(tmp_path: Path) -> None:
    several = Several()
    for shape in ((1, 5, 6, 7), (3, 9), (2, 17, 8)):
        channels = shape[1]
        statistics = [several.weight(channels) for _ in range(3)]
        spread = several.constant(np.linspace(0.1, 2, channels, dtype=np.float32))
        x = several.input(*shape)
        if len(shape) == 4:
            x = several.add("MaxPool", x, kernel_shape=[3, 3], strides=[1, 1])
        several.output(several.add("Relu", several.add("BatchNormalization", x, *statistics, spread, epsilon=1e-3)))
    module = exported(several.model(), tmp_path / "several.tar")
    assert kinds(module).count("elementwise") == 3
    assert "generated" not in kinds(module)
    check(several, module, cflags=("-O1", "-march=native"))


@pytest.mark.parametrize("operator", ["Softmax", "ReduceMax"])
def test_what_is_no_number_stays_so(operator: str, tmp_path: Path) -> None:
    several = Several(opset=13)
    x = several.input(2, 12)
    several.sample[x][0, 4] = np.nan
    several.output(several.add(operator, x, **({"axes": [1]} if operator == "ReduceMax" else {"axis": 1})))
    module = exported(several.model(), tmp_path / "several.tar")
    (found,) = module.build(cflags=("-O1",)).run(several.sample).values()
    assert np.isnan(found[0]).all()
    assert not np.isnan(found[1]).any()
