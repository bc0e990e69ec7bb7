"""What an ONNX file takes, and samples made for it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper, parser
from sources import run_file, write_onnx

from turnkey.errors import InputError
from turnkey.formats.onnx_signature import fit_sample, make_samples, read_signature, symbols_of
from turnkey.model.signature import Signature, TensorSpec

EMBEDDING = """
<ir_version: 9, opset_import: ["": 20]>
embed (int64[batch,seq] ids, int32[batch,seq] position, float[batch,seq] attention_mask, bool[seq] keep, double scale)
  => (float[batch,seq,4] y, float[batch,seq,4] p)
{
  shape = Shape(ids)
  flat = Reshape(ids, shape)
  word = Gather(words, flat)
  wide = Cast<to = 7>(position)
  p = Gather(places, wide)
  y = Add(word, p)
}
"""
TABLES = {"words": np.ones((11, 4), np.float32), "places": np.ones((3, 4), np.float32)}


def test_dimensions_stay_symbolic_and_initialisers_are_no_inputs():
    model = parser.parse_model(EMBEDDING)
    for name, array in TABLES.items():
        model.graph.initializer.append(numpy_helper.from_array(array, name))
        model.graph.input.append(helper.make_tensor_value_info(name, 1, array.shape))
    signature = read_signature(model)
    assert signature.inputs[0] == TensorSpec(name="ids", dtype="int64", shape=("batch", "seq"))
    assert signature.inputs[-1] == TensorSpec(name="scale", dtype="float64", shape=())
    assert [spec.name for spec in signature.inputs] == ["ids", "position", "attention_mask", "keep", "scale"]
    assert symbols_of(signature) == ("batch", "seq")


def test_a_dimension_without_a_name_gets_one_and_a_sequence_is_refused():
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]> g (float[?,2] x) => (float[?,2] y) {y = Relu(x)}'
    )
    assert read_signature(model).inputs[0].shape == ("x_0", 2)
    model.graph.input.append(helper.make_tensor_sequence_value_info("many", 1, None))
    with pytest.raises(InputError, match="'many' is not a tensor"):
        read_signature(model)


def test_indices_stay_inside_the_tables_they_index_so_that_the_file_runs(tmp_path):
    path = write_onnx(tmp_path / "embed.onnx", EMBEDDING, TABLES)
    samples = make_samples(onnx.load(path), seed=0, count=20, dimensions={"batch": 3, "seq": 5})
    ids = np.concatenate([sample["ids"].ravel() for sample in samples])
    position = np.concatenate([sample["position"].ravel() for sample in samples])
    assert ids.min() == 0
    assert ids.max() == 10
    assert set(position) == {0, 1, 2}
    assert samples[0]["ids"].shape == (3, 5)
    assert samples[0]["keep"].dtype == np.bool_
    assert samples[0]["scale"].dtype == np.float64
    assert samples[0]["scale"].shape == ()
    assert run_file(path, samples[0])["y"].shape == (3, 5, 4)


def test_a_table_that_is_dequantised_on_the_way_limits_its_indices_too():
    model = parser.parse_model(
        """<ir_version: 9, opset_import: ["": 20]>
        g (int64[40] ids) => (float[40,2] y) {table = DequantizeLinear(small, scale)  y = Gather(table, ids)}"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.ones((3, 2), np.int8), "small"))
    model.graph.initializer.append(numpy_helper.from_array(np.float32(0.5), "scale"))
    [sample] = make_samples(model, seed=0, count=1)
    assert set(sample["ids"]) == {0, 1, 2}


def test_integer_masks_hold_zeros_and_ones_and_never_only_zeros():
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]>'
        "g (int64[4,6] attention_mask) => (int64[4,6] y) {y = Identity(attention_mask)}"
    )
    for sample in make_samples(model, seed=1, count=30):
        mask = sample["attention_mask"]
        assert set(np.unique(mask)) <= {0, 1}
        assert (mask.sum(axis=1) > 0).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_samples_depend_on_the_seed_alone_and_leave_numpys_own_generator_untouched(seed):
    model = parser.parse_model(EMBEDDING)
    np.random.seed(7)
    before = np.random.get_state()[1].copy()
    first, second = (make_samples(model, seed=seed, count=2) for _ in range(2))
    assert (np.random.get_state()[1] == before).all()
    for one, other in zip(first, second, strict=True):
        for name, array in one.items():
            np.testing.assert_array_equal(array, other[name])


def test_inputs_larger_than_memory_are_refused_before_anything_is_drawn():
    model = parser.parse_model(
        '<ir_version: 9, opset_import: ["": 20]>'
        "g (float[n,1000000,1000000] x, float[2] z) => (float[n,1000000,1000000] y) {y = Relu(x)}"
    )
    with pytest.raises(InputError, match="do not fit into memory") as caught:
        make_samples(model, seed=0, count=4, dimensions={"n": 1000})
    assert "'x' [1000, 1000000, 1000000]" in caught.value.evidence
    assert "--dim" in caught.value.remedy


def test_a_sample_is_fitted_in_order_and_dtype_and_unknown_inputs_are_left_out():
    wanted = Signature(
        inputs=(
            TensorSpec(name="b", dtype="float16", shape=(2,)),
            TensorSpec(name="a", dtype="int32", shape=(2,)),
        )
    )
    sample = {"a": np.array([1, 2]), "b": np.array([1.5, 2.5], np.float32), "unused": np.zeros(1)}
    fitted = fit_sample(sample, wanted)
    assert [(name, str(array.dtype)) for name, array in fitted.items()] == [("b", "float16"), ("a", "int32")]
    with pytest.raises(InputError, match="no input 'a'"):
        fit_sample({"b": sample["b"]}, wanted)


def test_every_element_type_has_a_sample():
    kinds = (
        "float16",
        "bfloat16",
        "double",
        "int8",
        "uint8",
        "int16",
        "uint16",
        "uint32",
        "uint64",
        "string",
        "complex64",
    )
    for kind in kinds:
        text = f'<ir_version: 9, opset_import: ["": 20]> g ({kind}[2,3] x) => ({kind}[2,3] y) {{y = Identity(x)}}'
        model = parser.parse_model(text)
        [spec] = read_signature(model).inputs
        [sample] = make_samples(model, seed=0, count=1)
        assert sample["x"].shape == (2, 3)
        assert spec.dtype == ("string" if kind == "string" else str(sample["x"].dtype))
