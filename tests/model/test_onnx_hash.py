from pathlib import Path

import numpy as np
import onnx
import pytest

from turnkey.errors import InputError
from turnkey.model.onnx_hash import onnx_hash, weights_hash_of_onnx

TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
g (float[N,4] x) => (float[N,2] y)
<float[4,2] w = {1,2,3,4,5,6,7,8}>
{
  h = MatMul(x, w)
  y = Relu(h)
}
"""


def write(tmp_path: Path, text: str, name: str = "m.onnx") -> Path:
    path = tmp_path / name
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def hash_of(tmp_path: Path, text: str) -> str:
    return onnx_hash(write(tmp_path, text))[0]


def test_names_of_tensors_dimensions_and_weights_do_not_matter(tmp_path: Path) -> None:
    renamed = TEXT.replace("h", "hidden").replace("w", "weight").replace("N", "batch").replace("{1,2", "{9,9")
    assert hash_of(tmp_path, TEXT) == hash_of(tmp_path, renamed)
    assert onnx_hash(write(tmp_path, TEXT))[1] == "graph"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Relu(h)", "Gelu(h)"),
        ("Relu(h)", "LeakyRelu<alpha=0.5>(h)"),
        ("float[N,4] x", "float[3,4] x"),
        ("MatMul(x, w)", "MatMul(w, x)"),
        ("float", "double"),
        (": 18", ": 20"),
    ],
)
def test_operators_attributes_wiring_shapes_and_dtypes_matter(tmp_path: Path, old: str, new: str) -> None:
    assert hash_of(tmp_path, TEXT) != hash_of(tmp_path, TEXT.replace(old, new))


def test_an_attribute_value_matters(tmp_path: Path) -> None:
    leaky = TEXT.replace("Relu(h)", "LeakyRelu<alpha=0.5>(h)")
    assert hash_of(tmp_path, leaky) != hash_of(tmp_path, leaky.replace("0.5", "0.25"))


def test_one_changed_weight_changes_only_the_weights_hash(tmp_path: Path) -> None:
    first, second = write(tmp_path, TEXT, "a.onnx"), write(tmp_path, TEXT.replace("8}", "9}"), "b.onnx")
    assert onnx_hash(first) == onnx_hash(second)
    assert weights_hash_of_onnx(first) != weights_hash_of_onnx(second)


def test_external_data_counts_like_data_in_the_file(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(TEXT)
    model.graph.initializer[0].CopyFrom(
        onnx.numpy_helper.from_array(np.arange(8, dtype=np.float32).reshape(4, 2), "w")
    )
    onnx.save(model, tmp_path / "inside.onnx")
    onnx.save(
        model, tmp_path / "outside.onnx", save_as_external_data=True, size_threshold=0, location="outside.onnx.data"
    )
    inside, outside = tmp_path / "inside.onnx", tmp_path / "outside.onnx"
    assert onnx_hash(inside) == onnx_hash(outside)
    assert weights_hash_of_onnx(inside) == weights_hash_of_onnx(outside)
    (tmp_path / "outside.onnx.data").unlink()
    assert onnx_hash(outside) == onnx_hash(inside)
    with pytest.raises(InputError, match="external data"):
        weights_hash_of_onnx(outside)


def test_a_branch_is_part_of_the_hash(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    g (bool c, float[2] x) => (float[2] y)
    {
      y = If (c) <then_branch = a () => (float[2] t) { t = Relu(x) },
                  else_branch = b () => (float[2] e) { e = Neg(x) }>
    }
    """
    assert hash_of(tmp_path, text) != hash_of(tmp_path, text.replace("Neg", "Abs"))


def test_what_is_no_onnx_file_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(b"\x08\xff\xff not a model")
    with pytest.raises(InputError, match=r"x\.onnx"):
        onnx_hash(path)
