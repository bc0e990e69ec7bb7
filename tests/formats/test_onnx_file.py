"""ONNX files with their external data: what is read, refused, copied and written."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from sources import LINEAR, linear_weights, run_file, write_onnx

from turnkey.errors import InputError
from turnkey.formats.onnx_file import (
    PROTOBUF_LIMIT_BYTES,
    check_file,
    copy_model,
    data_path_of,
    describe_file,
    load_graph,
    load_model,
    opset_of,
    save_model,
    stored_bytes,
)
from turnkey.formats.onnx_graph import foreign_operators

X = {"x": np.linspace(-1, 1, 80, dtype=np.float32).reshape(2, 40)}


@pytest.fixture
def linear(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "linear.onnx", LINEAR, linear_weights())


@pytest.fixture
def external(tmp_path: Path) -> Path:
    return write_onnx(tmp_path / "given" / "linear.onnx", LINEAR, linear_weights(), external=True)


def redirect(path: Path, location: str, **fields: int) -> None:
    """Make the model say that its weights lie elsewhere."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = location if entry.key == "location" else str(fields.get(entry.key, entry.value))
    path.write_bytes(model.SerializeToString())


def test_a_copy_computes_the_same_when_the_original_and_its_data_are_gone(external, tmp_path):
    expected = run_file(external, X)["y"]
    target = tmp_path / "build" / "copied name.onnx"
    copy_model(external, target)
    shutil.rmtree(external.parent)
    np.testing.assert_array_equal(run_file(target, X)["y"], expected)
    assert describe_file(target).external == (data_path_of(target),)


def test_a_model_without_external_data_is_copied_byte_for_byte(linear, tmp_path):
    copy_model(linear, tmp_path / "copy.onnx")
    assert (tmp_path / "copy.onnx").read_bytes() == linear.read_bytes()


def test_the_digest_covers_every_byte_of_the_external_data(external):
    before = describe_file(external)
    data = data_path_of(external)
    assert before.size_bytes == stored_bytes(external) == external.stat().st_size + data.stat().st_size
    changed = bytearray(data.read_bytes())
    changed[-1] ^= 1
    data.write_bytes(changed)
    assert describe_file(external).sha256 != before.sha256


def test_saving_the_same_model_twice_gives_the_same_bytes_inside_and_outside(external, tmp_path):
    for kind in (False, True):
        for name in ("first", "second"):
            save_model(load_model(external), tmp_path / name / "m.onnx", external=kind)
        first, second = (describe_file(tmp_path / name / "m.onnx") for name in ("first", "second"))
        assert first.sha256 == second.sha256
        assert bool(first.external) is kind
        assert {part.stat().st_mode for part in first.external} <= {first.path.stat().st_mode}


def test_a_smaller_model_under_the_same_name_leaves_no_old_data_behind(external):
    save_model(load_model(external), external, external=False)
    assert not data_path_of(external).exists()
    assert run_file(external, X)["y"].shape == (2, 30)


def test_a_refused_file_never_appears_and_the_older_one_stays(linear):
    before = linear.read_bytes()

    def refuse(written: Path) -> None:
        assert onnx.load(written).graph.name == "linear"
        raise InputError("refused by the test")

    with pytest.raises(InputError):
        save_model(load_model(linear), linear, external=True, check=refuse)
    assert linear.read_bytes() == before
    assert [path.name for path in linear.parent.iterdir()] == [linear.name]


@pytest.mark.parametrize(
    ("location", "reason"),
    [
        ("/etc/passwd", "must lie in the directory"),
        ("../secret.data", "must lie in the directory"),
        ("sub/../../secret.data", "must lie in the directory"),
        ("..\\secret.data", "must lie in the directory"),
        ("", "must lie in the directory"),
        ("nowhere.data", "there is no such file"),
        (".", "not a regular file"),
    ],
)
def test_external_data_outside_of_the_directory_or_missing_is_refused(external, location, reason):
    (external.parent.parent / "secret.data").write_bytes(bytes(1000))
    redirect(external, location)
    for reads in (load_graph, load_model, check_file, describe_file):
        with pytest.raises(InputError) as caught:
            reads(external)
        assert reason in caught.value.evidence
        assert caught.value.remedy


def test_a_link_out_of_the_directory_is_refused(external, tmp_path):
    data = data_path_of(external)
    data.rename(tmp_path / "elsewhere.data")
    data.symlink_to(tmp_path / "elsewhere.data")
    with pytest.raises(InputError) as caught:
        load_model(external)
    assert "leads out of the directory" in caught.value.evidence


@pytest.mark.parametrize("fields", [{"offset": 10**9}, {"length": 10**9}, {"offset": -8}, {"length": -8}])
def test_a_range_beyond_the_data_file_is_refused_before_anything_is_read(external, fields):
    redirect(external, data_path_of(external).name, **fields)
    with pytest.raises(InputError):
        load_model(external)


def test_truncated_external_data_is_named_with_both_sizes(external):
    data = data_path_of(external)
    data.write_bytes(data.read_bytes()[:-5])
    with pytest.raises(InputError, match="external data") as caught:
        describe_file(external)
    assert str(data.stat().st_size) in caught.value.evidence


@pytest.mark.parametrize("content", [b"", b"not a model", b"version https://git-lfs.github.com/spec/v1\n", bytes(64)])
def test_what_is_no_model_is_called_so(tmp_path, content):
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken.onnx is not an ONNX model") as caught:
        load_graph(path)
    assert str(path) in caught.value.evidence


def test_a_truncated_model_is_an_input_error(linear):
    linear.write_bytes(linear.read_bytes()[:-7])
    with pytest.raises(InputError):
        check_file(linear)


def test_directories_missing_files_and_files_beyond_protobuf_are_refused_without_reading(tmp_path):
    with pytest.raises(InputError, match="is a directory") as caught:
        load_graph(tmp_path)
    assert "*.onnx" in caught.value.remedy
    with pytest.raises(InputError, match="cannot be read"):
        load_graph(tmp_path / "missing.onnx")
    huge = tmp_path / "huge.onnx"
    with huge.open("wb") as stream:
        stream.truncate(PROTOBUF_LIMIT_BYTES + 1)  # sparse: takes no space
    with pytest.raises(InputError, match="larger than an ONNX file can be"):
        load_graph(huge)


def test_external_data_of_another_size_than_its_tensor_is_refused(external):
    model = onnx.load(external, load_external_data=False)
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "w")
    weights.dims[:] = [40, 31]
    external.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="external data") as caught:
        load_model(external)
    assert "it gives 4800 bytes, [40, 31] numbers take 4960" in caught.value.evidence


def test_numbers_of_half_a_byte_take_half_the_bytes(tmp_path):
    table = onnx.helper.make_tensor("t", onnx.TensorProto.INT4, [3, 3], list(range(-4, 5)))
    node = onnx.helper.make_node("DequantizeLinear", ["t", "s"], ["y"])
    scale, output = numpy_helper.from_array(np.float32(0.5), "s"), onnx.helper.make_tensor_value_info("y", 1, [3, 3])
    graph = onnx.helper.make_graph([node], "g", [], [output], [table, scale])
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)
    save_model(made, tmp_path / "a.onnx", external=True)
    onnx.save(made, tmp_path / "b.onnx", save_as_external_data=True, location="b.data", size_threshold=0)
    for name in ("a.onnx", "b.onnx"):
        np.testing.assert_array_equal(run_file(tmp_path / name, {})["y"], np.arange(-4, 5).reshape(3, 3) / 2)
        assert load_model(tmp_path / name).graph.initializer[0].dims == [3, 3]


def test_a_type_that_the_installed_onnx_does_not_know_and_names_that_are_no_text_are_refused(linear):
    model = onnx.load(linear)
    model.graph.initializer[0].data_type = 77
    linear.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="a type that is not known") as caught:
        load_graph(linear)
    assert "'w' has data type 77" in caught.value.evidence
    linear.write_bytes(write_onnx(linear, LINEAR, linear_weights()).read_bytes().replace(b"product", b"prod\xff\xfet"))
    with pytest.raises(InputError, match="not a valid ONNX model") as caught:
        check_file(linear)
    assert "no UTF-8" in caught.value.evidence


def test_a_model_that_breaks_the_specification_is_refused_with_the_checkers_words(linear):
    model = onnx.load(linear)
    model.graph.node[1].input[0] = "nobody"
    linear.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="not a valid ONNX model") as caught:
        check_file(linear)
    assert "nobody" in caught.value.evidence


def test_opset_and_foreign_operators_are_told(linear):
    model = load_model(linear)
    assert opset_of(model) == 20
    assert foreign_operators(model) == []
    model.graph.node[0].domain = "com.example"
    assert foreign_operators(model) == ["com.example.MatMul"]
