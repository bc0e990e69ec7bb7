"""The shapes of models that Triton Model Navigator's own examples have, each from a dataloader to a package that runs.

Two outputs with nested inputs, and a model that fails to export by one route, are in ``test_optimize.py``
(`test_a_model_with_nested_inputs_and_two_outputs_that_fails_by_one_route_goes_by_others`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

import turnkey
import turnkey.navigator as nav
from turnkey.navigator.status import CommandStatus

UNPROFILED = nav.ProfilerConfig(run_profiling=False, batch_sizes=[1, 4])
MLP = """
<ir_version: 8, opset_import: ["": 17]>
mlp (float[N,4] x) => (float[N,2] scores)
<float[4,3] w0, float[3] b0, float[3,2] w1, float[2] b1>
{
   h = Gemm (x, w0, b0)
   r = Relu (h)
   scores = Gemm (r, w1, b1)
}
"""


def ended(package: nav.Package, key: str, runner: str) -> CommandStatus:
    return package.status.models[key].runners_status[runner].ended("Correctness")


@pytest.mark.usefixtures("here")
def test_a_numpy_function_becomes_a_package_whose_winner_runs(tmp_path: Path) -> None:
    def softmax(x: np.ndarray) -> np.ndarray:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    data = [np.random.default_rng(i).standard_normal((2, 4)).astype(np.float32) for i in range(3)]
    package = turnkey.optimize(softmax, data, workspace=tmp_path / "w", profiler_config=UNPROFILED)
    with package.runner_of("python", "PythonRunner") as runner:
        assert np.allclose(runner.infer({"input__0": data[0]})["output__0"].sum(axis=-1), 1)


@pytest.mark.usefixtures("here")
def test_an_mlp_in_onnx_is_verified_at_every_batch_size_and_runs(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(MLP)
    generator = np.random.default_rng(0)
    weights = {
        name: generator.standard_normal(shape).astype(np.float32)
        for name, shape in (("w0", (4, 3)), ("b0", (3,)), ("w1", (3, 2)), ("b1", (2,)))
    }
    del model.graph.initializer[:]
    model.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in weights.items())
    onnx.save(model, str(tmp_path / "mlp.onnx"))
    data = [generator.standard_normal((2, 4)).astype(np.float32) for _ in range(3)]
    package = turnkey.optimize(
        tmp_path / "mlp.onnx", data, target_device="cpu", workspace=tmp_path / "w", profiler_config=UNPROFILED
    )
    assert ended(package, "onnx", "OnnxCPU") is CommandStatus.OK
    trt = package.status.models["trt-fp32"].commands["Conversion"]
    assert trt.status is CommandStatus.SKIPPED
    assert "pip install tensorrt" in trt.reason, "the documented name reaches Turnkey's format tensorrt"
    with package.runner_of("onnx", "OnnxCPU") as runner:
        found = runner.infer({"x": data[0]})["scores"]
    hidden = np.maximum(data[0] @ weights["w0"] + weights["b0"], 0)
    assert np.allclose(found, hidden @ weights["w1"] + weights["b1"], atol=1e-5)


class SmallCNN(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
        self.classifier = torch.nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.classifier(self.features(image).mean((2, 3)))
        return found


@pytest.mark.slow
@pytest.mark.defect("ND18")
@pytest.mark.usefixtures("here")
def test_a_small_cnn_is_exported_with_a_free_batch_and_shipped_in_every_exported_format(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = SmallCNN().eval()
    data = [torch.randn(2, 3, 8, 8) for _ in range(2)]
    package = turnkey.optimize(
        model,
        data,
        target_device="cpu",
        target_formats=["torchscript", "torch-exportedprogram"],
        runners=["TorchCPU", "TorchScriptCPU", "TorchExportedProgramCPU"],
        workspace=tmp_path / "w",
        profiler_config=UNPROFILED,
    )
    exported = package.status.models["torch-exportedprogram"].runners_status["TorchExportedProgramCPU"]
    assert exported.ended("Correctness") is CommandStatus.OK, exported.commands["Correctness"].reason
    assert exported.notes == ("compared at batch sizes 1, 2, 4",), "it is not static"
    nav.package.save(package, tmp_path / "cnn.nav")
    loaded = nav.package.load(tmp_path / "cnn.nav", workspace=tmp_path / "loaded")
    image = np.random.default_rng(0).standard_normal((3, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(image)).numpy()
    for key, runner in (
        ("torchscript-script", "TorchScriptCPU"),
        ("torchscript-trace", "TorchScriptCPU"),
        ("torch-exportedprogram", "TorchExportedProgramCPU"),
    ):
        with loaded.runner_of(key, runner) as active:
            assert np.allclose(active.infer({"input__0": image})["output__0"], expected, atol=1e-5), key


class TinyBert(torch.nn.Module):
    """What BERT is made of, taking its dictionary: ids, mask and types by keyword; a dictionary of two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(50, 8)
        self.types = torch.nn.Embedding(2, 8)
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = torch.nn.LayerNorm(8)
        self.pooler = torch.nn.Linear(8, 8)

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        assert attention_mask is not None
        assert token_type_ids is not None
        x = self.words(input_ids) + self.types(token_type_ids)
        attended, _ = self.attention(x, x, x, key_padding_mask=attention_mask == 0, need_weights=False)
        x = self.norm(x + attended)
        return {"last_hidden_state": x, "pooler_output": torch.tanh(self.pooler(x[:, 0]))}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("key", "runner"),
    [("torchscript-trace", "TorchScriptCPU"), pytest.param("onnx", "OnnxCPU", marks=pytest.mark.nightly)],
)
@pytest.mark.usefixtures("here")
def test_a_bert_like_model_takes_dictionaries_of_varying_length_by_keyword(
    tmp_path: Path, key: str, runner: str
) -> None:
    torch.manual_seed(0)
    model = TinyBert().eval()

    def tokens(length: int) -> dict[str, Any]:
        return {
            "input_ids": torch.randint(0, 50, (2, length)),
            "attention_mask": torch.ones(2, length, dtype=torch.int64),
            "token_type_ids": torch.zeros(2, length, dtype=torch.int64),
        }

    data = [tokens(5), tokens(7), tokens(6)]
    package = turnkey.optimize(
        model,
        data,
        target_device="cpu",
        target_formats=[key.partition("-")[0]],
        runners=["TorchCPU", runner],
        custom_configs=[nav.TorchScriptConfig(jit_type="trace", strict=False)] if "script" in key else None,
        workspace=tmp_path / "w",
        profiler_config=nav.ProfilerConfig(run_profiling=False),
    )
    names = ["input_ids", "attention_mask", "token_type_ids"]
    assert [(spec.name, spec.shape, spec.dtype) for spec in package.status.input_metadata] == [
        (name, (-1, -1), "int64") for name in names
    ]
    assert [spec.name for spec in package.status.output_metadata] == ["last_hidden_state", "pooler_output"]
    assert ended(package, key, runner) is CommandStatus.OK, package.status.models[key]
    other = tokens(9)
    with torch.no_grad():
        expected = model(**other)
    with package.runner_of(key, runner) as active:
        found = active.infer({name: array.numpy() for name, array in other.items()})
    for name, array in expected.items():
        assert np.allclose(found[name], array.numpy(), atol=1e-5), name
