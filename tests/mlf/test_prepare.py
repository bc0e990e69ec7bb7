"""What is left of a model before it is lowered."""

from __future__ import annotations

import models
import pytest

from turnkey.errors import InputError
from turnkey.mlf.prepare import prepare

OLD = """
<ir_version: 3, opset_import: ["" : 9]>
old (float[1,2,6,6] x, float[3,2,3,3] w, float[3] s, float[3] b, float[3] m, float[3] v) => (float[1,3,6,6] y)
<float[3,2,3,3] w, float[3] s, float[3] b, float[3] m, float[3] v>
{
  c = Conv<pads=[1,1,1,1]>(x, w)
  n = BatchNormalization(c, s, b, m, v)
  r = Relu(n)
  y = Sum(r, n)
}
"""


def test_weights_that_are_inputs_too_as_older_files_have_them_are_folded() -> None:
    prepared = prepare(models.model_of(OLD))
    assert [node.op_type for node in prepared.model.graph.node] == ["Conv", "Relu", "Add"]
    assert [value.name for value in prepared.model.graph.input] == ["x"]
    assert not prepared.notes


def test_a_model_that_breaks_the_standard_is_refused_with_what_the_checker_says() -> None:
    model = models.model_of(models.MULTIPLY)
    del model.graph.node[0].input[1:]
    with pytest.raises(InputError, match="not valid") as caught:
        prepare(model)
    assert "MatMul" in caught.value.evidence


def test_an_operator_that_nobody_knows_is_left_to_the_lowering_which_lists_them_all() -> None:
    model = models.model_of(models.MULTIPLY)
    model.graph.node[0].op_type = "Mystery"
    prepared = prepare(model)
    assert "ONNX Runtime refuses the model" in prepared.notes[0]
    assert [node.op_type for node in prepared.model.graph.node] == ["Mystery"]
