"""Orders of steps: exact on small graphs, never worse, and still an order in which every input exists."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import models
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import turnkey.mlf as mlf
from turnkey.mlf.order import least_peak_order, peak_bytes
from turnkey.mlf.program import Kernel, Program, Step
from turnkey.mlf.tensor import Tensor


def program_of(rows: list[tuple[list[int], int]]) -> Program:
    """Step i reads the tensors of earlier steps that its row names and makes ``t<i>`` of so many bytes."""
    tensors = {"x": Tensor(name="x", dtype="uint8", shape=(1,)), "y": Tensor(name="y", dtype="uint8", shape=(1,))}
    steps, read = [], set()
    for index, (sources, size) in enumerate(rows):
        inputs = [f"t{source % index}" for source in sources] if index else []
        read.update(inputs)
        tensors[f"t{index}"] = Tensor(name=f"t{index}", dtype="uint8", shape=(size,))
        kernel = Kernel(operators=(f"o{index}",), inputs=(), outputs=("uint8_t",), statement="")
        steps.append(Step(kernel=kernel, inputs=tuple(dict.fromkeys(inputs)) or ("x",), outputs=(f"t{index}",)))
    rest = [name for name in tensors if name not in read and name not in "xy"]
    last = Kernel(operators=("last",), inputs=(), outputs=("uint8_t",), statement="")
    steps.append(Step(kernel=last, inputs=tuple(rest), outputs=("y",)))
    return Program(tensors=tensors, inputs=("x",), outputs=("y",), constants={}, steps=tuple(steps))


def is_possible(program: Program) -> bool:
    known = set(program.inputs)
    for step in program.steps:
        if not set(step.inputs) <= known:
            return False
        known |= set(step.outputs)
    return True


ROWS = st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=2), st.integers(1, 50)), min_size=1, max_size=5)


@given(ROWS)
@settings(deadline=None, max_examples=60)
def test_the_order_is_the_best_of_all_that_are_possible(rows: list[tuple[list[int], int]]) -> None:
    program = program_of(rows)
    found = least_peak_order(program)
    assert is_possible(found)
    assert sorted(step.outputs for step in found.steps) == sorted(step.outputs for step in program.steps)
    every = (dataclasses.replace(program, steps=steps) for steps in itertools.permutations(program.steps))
    assert peak_bytes(found) == min(peak_bytes(other) for other in every if is_possible(other))


def test_a_search_that_ends_early_keeps_the_given_order() -> None:
    program = program_of([([], 40), ([], 40), ([0], 1), ([1], 1)])
    assert least_peak_order(program, budget=1) is program
    assert peak_bytes(least_peak_order(program)) < peak_bytes(program)


@pytest.mark.needs("emx_onnx_cgen")
def test_an_export_takes_it_where_it_needs_less(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    wide (float[1,1] x) => (float[1,1] y)
    <float[1,500] u, float[1,500] v, float[500,1] p, float[500,1] q>
    {
      a = MatMul(x, u)
      b = MatMul(x, v)
      c = MatMul(a, p)
      d = MatMul(b, q)
      y = Add(c, d)
    }
    """
    model: onnx.ModelProto = models.model_of(text)
    sizes = {}
    for order in ("given", "memory"):
        path = tmp_path / f"{order}.tar"
        made = mlf.export(model, path, name="wide", order=order, compile=False, optimize="none")
        sizes[order] = made.plan["workspace"]
    assert sizes["given"] >= 4000
    assert sizes["memory"] <= 2000 + 3 * 16
