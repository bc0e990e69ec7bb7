"""The tool export-triton, on builds of the command line."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from navigator_samples import TEXT

import turnkey
from turnkey.errors import ConversionError, UsageError
from turnkey.navigator.triton_tool import ExportTriton
from turnkey.pipeline.state import State, Variant
from turnkey.tools.load_onnx import LoadOnnx


@pytest.fixture
def loaded(tmp_path: Path) -> State:
    onnx.save(onnx.parser.parse_model(TEXT), str(tmp_path / "exp.onnx"))
    state = State(tmp_path / "cache", "exp")
    return LoadOnnx().run(state, input=str(tmp_path / "exp.onnx"))


def test_a_build_becomes_a_model_of_a_repository(loaded: State, tmp_path: Path) -> None:
    state = ExportTriton().run(
        loaded, repository=str(tmp_path / "repo"), max_batch_size=16, instances=2, max_queue_delay=5, warmup=True
    )
    text = (tmp_path / "repo" / "exp" / "config.pbtxt").read_text()
    assert 'backend: "onnxruntime"' in text
    assert "max_batch_size: 16" in text
    assert "max_queue_delay_microseconds: 5" in text
    assert "count: 2" in text
    assert "model_warmup" in text
    assert "dims: 4" in text
    assert "dims: -1" not in text, "the batch axis is not a dimension of the tensor"
    assert (tmp_path / "repo" / "exp" / "1" / "model.onnx").is_file()
    assert str(tmp_path / "repo" / "exp") in state.listing
    with pytest.raises(ConversionError, match="there already"):
        ExportTriton().run(loaded, repository=str(tmp_path / "repo"))
    ExportTriton().run(loaded, repository=str(tmp_path / "repo"), override=True)


def test_what_is_not_verified_or_cannot_be_served_is_not_shipped(loaded: State, tmp_path: Path) -> None:
    made = Variant(key="onnx-opt", format="onnx", path="onnx/x.onnx", sha256="", lineage=("onnx",), exporter="ort")
    state = loaded.with_variant(made)
    with pytest.raises(ConversionError, match="not verified"):
        ExportTriton().run(state, repository=str(tmp_path), variant="onnx-opt")
    with pytest.raises(UsageError, match="no variant 'trt'"):
        ExportTriton().run(state, repository=str(tmp_path), variant="trt")
    with pytest.raises(UsageError, match="needs a repository"):
        ExportTriton().run(state)


def test_both_tools_stand_in_the_toolbox() -> None:
    from turnkey.pipeline.toolbox import find_tool

    assert find_tool("export-triton") is ExportTriton
    assert find_tool("package").example.startswith("turnkey package verify")
    assert "optimize" in dir(turnkey)
