"""Each code of the room is raised by what it names, with evidence and, where something can be done, what to do."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path

import models
import onnx
import pytest

import turnkey.mlf as mlf
from turnkey.errors import InputError
from turnkey.mlf.failures import MlfMissingDependencyError
from turnkey.mlf.lowering.emx_text import take_apart

pytestmark = pytest.mark.needs("emx_onnx_cgen")


def test_an_operator_that_nothing_can_lower_is_listed_with_its_reason(tmp_path: Path) -> None:
    x, y = (onnx.helper.make_tensor_value_info(name, 1, [2]) for name in "xy")
    node = onnx.helper.make_node("Warp", ["x"], ["y"], name="warp1", domain="mine")
    opsets = [onnx.helper.make_opsetid("", 17), onnx.helper.make_opsetid("mine", 1)]
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]), opset_imports=opsets)
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-unsupported-op") as caught:
        mlf.export(model, tmp_path / "w.tar")
    assert "Warp(warp1)" in caught.value.evidence
    assert caught.value.remedy
    assert list(tmp_path.iterdir()) == []


def test_a_sequence_is_no_tensor(tmp_path: Path) -> None:
    x = onnx.helper.make_tensor_sequence_value_info("x", 1, [2])
    y = onnx.helper.make_tensor_value_info("y", 7, [])
    node = onnx.helper.make_node("SequenceLength", ["x"], ["y"])
    model = onnx.helper.make_model(onnx.helper.make_graph([node], "g", [x], [y]))
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-non-tensor") as caught:
        mlf.export(model, tmp_path / "s.tar")
    assert "'x'" in caught.value.evidence


def test_sizes_that_depend_on_values_are_dynamic_shapes(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> u (float[8] x) => (float[n] y) { y = Unique(x) }'
    )
    with pytest.raises(mlf.NonStaticShapeError, match="mlf-dynamic-shape"):
        mlf.export(model, tmp_path / "u.tar", optimize="none")


def test_a_missing_compiler_stops_an_export_and_not_one_that_compiles_nothing(tmp_path: Path) -> None:
    model = models.model_of(models.MULTIPLY)
    with pytest.raises(MlfMissingDependencyError, match="mlf-no-compiler") as caught:
        mlf.export(model, tmp_path / "m.tar", cc="no-such-compiler")
    assert "--no-compile" in caught.value.remedy
    assert not (tmp_path / "m.tar").exists()
    mlf.export(model, tmp_path / "m.tar", cc="no-such-compiler", compile=False)
    assert "compiler" not in mlf.load(tmp_path / "m.tar").module().metadata.turnkey


@pytest.mark.parametrize("found", ["none", "9.9.9"])
def test_the_generator_is_the_tested_version_or_named_with_its_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, found: str
) -> None:
    def version(name: str) -> str:
        if found == "none":
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr("turnkey.mlf.lowering.emx.importlib.metadata.version", version)
    model = models.model_of('<ir_version: 8, opset_import: ["" : 17]> g (float[17] x) => (float[17] y) { y = Sin(x) }')
    with pytest.raises(MlfMissingDependencyError, match="mlf-no-generator") as caught:
        mlf.export(model, tmp_path / "m.tar", optimize="none")  # a node that no template takes
    assert caught.value.remedy.startswith("pip install ")


@pytest.mark.parametrize(
    "body", ["float *t = malloc(4);", "static int calls;\n    static float kept[4];\n    out[0] = kept[calls];"]
)
def test_generated_code_that_keeps_memory_of_its_own_is_refused(body: str) -> None:
    text = (
        "#include <stdlib.h>\nEMX_NODE_FN void node0_relu(const float in[4], float out[4]) {\n    "
        f"{body}\n}}\nvoid m(const float x[4], float y[4]) {{\n    node0_relu(x, y);\n}}\n"
    )
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-unplanned-memory"):
        take_apart(text)


def test_a_full_disk_leaves_the_older_tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.tar").write_bytes(b"older")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space"):
        mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", compile=False)
    assert (tmp_path / "m.tar").read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["m.tar"]
