"""Names at the border of a graph."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator

from turnkey.formats.onnx_naming import name_border, name_dimensions

HEADER = '<ir_version: 9, opset_import: ["": 20]>'


def renamed(text: str, inputs: list[str], outputs: list[str]) -> onnx.ModelProto:
    model = parser.parse_model(HEADER + text)
    name_border(model.graph, input_names=inputs, output_names=outputs)
    onnx.checker.check_model(model, full_check=True)
    return model


def run(model: onnx.ModelProto, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    names = [value.name for value in model.graph.output]
    return dict(zip(names, ReferenceEvaluator(model).run(None, inputs), strict=True))


X = np.array([-1.0, 2.0], np.float32)


def test_inputs_and_outputs_are_renamed_by_position_also_inside_of_branches():
    text = """g (float[2] a, bool c) => (float[2] r) {
      r = If (c) <then_branch = t () => (float[2] u) {u = Relu(a)}, else_branch = e () => (float[2] v) {v = Neg(a)}>
    }"""
    model = renamed(text, ["x.0", "flags.on"], ["output"])
    np.testing.assert_array_equal(run(model, **{"x.0": X, "flags.on": np.array(True)})["output"], [0, 2])
    np.testing.assert_array_equal(run(model, **{"x.0": X, "flags.on": np.array(False)})["output"], [1, -2])


def test_two_names_may_be_exchanged():
    model = renamed("g (float[2] a, float[2] b) => (float[2] y) {y = Sub(a, b)}", ["b", "a"], ["y"])
    np.testing.assert_array_equal(run(model, b=X, a=np.zeros(2, np.float32))["y"], X)


def test_an_inner_value_gives_way_to_a_border_value_of_its_name():
    model = renamed("g (float[2] a) => (float[2] y) {output = Relu(a)  y = Neg(output)}", ["x"], ["output"])
    np.testing.assert_array_equal(run(model, x=X)["output"], [0, -2])


def test_an_output_that_is_an_input_or_occurs_twice_gets_a_value_of_its_own():
    model = renamed(
        "g (float[2] a) => (float[2] a, float[2] y, float[2] y) {y = Relu(a)}", ["x"], ["same", "first", "second"]
    )
    outputs = run(model, x=X)
    np.testing.assert_array_equal(outputs["same"], X)
    np.testing.assert_array_equal(outputs["first"], outputs["second"])


def test_an_output_with_the_name_of_an_input_is_marked():
    model = renamed("g (float[2] a) => (float[2] y) {y = Relu(a)}", ["past.0.key"], ["past.0.key"])
    np.testing.assert_array_equal(run(model, **{"past.0.key": X})["past.0.key.out"], [0, 2])


def test_another_number_of_values_is_an_error():
    with pytest.raises(ValueError, match="1 inputs and 1 outputs"):
        renamed("g (float[2] a) => (float[2] y) {y = Relu(a)}", ["x", "z"], ["y"])


def test_unknown_dimensions_of_outputs_are_filled_in_and_known_ones_stay():
    model = parser.parse_model(HEADER + "g (float[n,2] a) => (float[k,m,2] y) {y = Foo(a)}")
    name_dimensions(model.graph, [("batch", 5, 7)])
    dims = model.graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 5, 2]
