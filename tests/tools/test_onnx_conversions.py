"""The tools optimize-ort and convert-fp16: names of files and variants, lineage, what the state says."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from model_builds import Net, samples_of, source, state_of

from turnkey.errors import ConversionError
from turnkey.tools.convert_fp16 import ConvertOnnxToFp16
from turnkey.tools.export_pytorch import ExportPytorchModel
from turnkey.tools.optimize_ort import OptimizeOnnxModel
from turnkey.tools.verify import Verify


@pytest.fixture
def exported(tmp_path):
    state = state_of(tmp_path, source(Net(), samples_of((2, 3, 8))))
    return ExportPytorchModel().run(state, opset=18, exporter="torchscript")


def names(state):
    return [(variant.key, variant.path.removeprefix("onnx/net-op18-"), variant.lineage) for variant in state.variants]


def test_files_and_keys_are_named_by_lineage_and_all_are_valid(exported):
    state = ConvertOnnxToFp16().run(OptimizeOnnxModel().run(exported))
    assert names(state) == [
        ("onnx", "base.onnx", ()),
        ("onnx-opt", "opt.onnx", ("onnx",)),
        ("onnx-opt-fp16", "opt-f16.onnx", ("onnx", "onnx-opt")),
    ]
    assert state.results == "onnx-opt-fp16"
    assert state.downcast_applied
    assert state.expected_input_dtypes == {"x": "float16"}
    assert state.statistics["exporter"] == "torchscript"
    assert state.statistics["onnx_file"].endswith("opt-f16.onnx")
    assert state.variant("onnx-opt").exporter == "onnxruntime-basic"
    assert Verify().run(state).statistics["verify_status"] == "valid"


def test_without_optimisation_the_float16_file_is_not_called_optimised(exported):
    state = ConvertOnnxToFp16().run(exported)
    assert names(state)[-1] == ("onnx-fp16", "f16.onnx", ("onnx",))


def test_kept_inputs_and_outputs_leave_the_state_as_it_was(exported):
    state = ConvertOnnxToFp16().run(exported, keep_io=True, block=["Gemm"])
    assert not state.downcast_applied
    session = onnxruntime.InferenceSession(str(state.build_dir / state.variant().path))
    assert [value.type for value in (*session.get_inputs(), *session.get_outputs())] == ["tensor(float)"] * 2
    x = np.ones((5, 3, 8), np.float32)
    assert session.run(None, {"x": x})[0].shape == (5, 4)


def test_a_host_specific_level_is_part_of_the_key_and_said(exported):
    state = OptimizeOnnxModel().run(exported, level="extended")
    assert names(state)[-1] == ("onnx-opt-extended", "opt-extended.onnx", ("onnx",))
    assert any("host-specific" in note for note in state.variant().notes)


@pytest.mark.parametrize("tool", [OptimizeOnnxModel, ConvertOnnxToFp16])
def test_without_an_onnx_file_the_remedy_is_the_tool_that_makes_one(tmp_path, tool):
    state = state_of(tmp_path, source(Net(), samples_of((2, 3, 8))))
    with pytest.raises(ConversionError, match="needs an ONNX file") as caught:
        tool().run(state)
    assert f"export-pytorch {tool.name}" in caught.value.remedy
