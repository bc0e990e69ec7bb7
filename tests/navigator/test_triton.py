"""Model repositories: the written configuration is what Triton's own schema reads back."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from navigator_statuses import model, rung, runner, status
from onnx import TensorProto, helper

from turnkey.errors import InputError
from turnkey.navigator import triton
from turnkey.navigator.exceptions import DeployerError, EmptyPackageError, RuntimeAnalyzerError, WrongParameterError
from turnkey.navigator.format import Format
from turnkey.navigator.package_result import Package
from turnkey.navigator.pytriton import PyTritonAdapter
from turnkey.navigator.triton.model_repository import add_model, add_model_from_package


@pytest.fixture(scope="module")
def parse(need: Callable[..., None]) -> Any:
    """Parses ``config.pbtxt`` by the compiled schema of tritonclient, whose package itself needs grpcio."""
    need("tritonclient")
    spec = importlib.util.find_spec("tritonclient")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    place = Path(next(iter(spec.submodule_search_locations))) / "grpc" / "model_config_pb2.py"
    loaded = importlib.util.spec_from_file_location("triton_model_config_pb2", place)
    assert loaded is not None
    assert loaded.loader is not None
    schema = importlib.util.module_from_spec(loaded)
    sys.modules["triton_model_config_pb2"] = schema
    loaded.loader.exec_module(schema)
    from google.protobuf import text_format

    return lambda text: text_format.Parse(text, schema.ModelConfig())


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """A file whose weights lie beside it."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [4, 3], np.ones(12, np.float32).tobytes(), raw=True)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [weight],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "onnx" / "model.onnx"
    path.parent.mkdir()
    onnx.save_model(made, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def package(onnx_file: Path, *rungs: Any, runner_name: str = "OnnxCPU", **config: Any) -> Package:
    found = model(Format.ONNX, runner(runner_name, *(rungs or (rung(1.0), rung(1.5, 8)))))
    source = model(Format.TORCH, runner("TorchCPU", rung(0.5)))
    return Package(status(source, found, config=config), onnx_file.parent.parent)


@pytest.mark.defect("ND26")
def test_a_repository_has_the_documented_layout_and_returns_the_models_folder(tmp_path, onnx_file, parse) -> None:
    made = add_model(tmp_path / "repo", "net", onnx_file, triton.ONNXModelConfig(), 3)
    assert made == tmp_path / "repo" / "net"
    assert (made / "3" / "model.onnx").is_file()
    assert (made / "3" / "weights.bin").is_file(), "external data goes with its file"
    config = parse((made / "config.pbtxt").read_text())
    assert (config.name, config.backend, config.max_batch_size) == ("net", "onnxruntime", 4)
    assert config.HasField("dynamic_batching")


@pytest.mark.defect("ND26")
def test_external_data_stay_in_the_folder_in_which_the_model_looks_for_them(tmp_path, onnx_file) -> None:
    found = onnx.load_model(str(onnx_file))
    path = tmp_path / "nested" / "net.onnx"
    (path.parent / "data").mkdir(parents=True)
    onnx.save_model(found, str(path), save_as_external_data=True, location="data/w.bin", size_threshold=0)
    made = add_model(tmp_path / "repo", "net", path, triton.ONNXModelConfig())
    onnx.load_model(str(made / "1" / "model.onnx"))
    assert (made / "1" / "data" / "w.bin").is_file()


def test_every_part_of_a_configuration_parses_back_to_what_was_given(parse) -> None:
    policy = triton.QueuePolicy(
        timeout_action=triton.TimeoutAction.DELAY, default_timeout_microseconds=7, max_queue_size=3
    )
    config = triton.ONNXModelConfig(
        max_batch_size=16,
        batcher=triton.DynamicBatcher(
            max_queue_delay_microseconds=100,
            preferred_batch_size=[4, 8],
            preserve_ordering=True,
            priority_levels=2,
            default_priority_level=1,
            default_queue_policy=policy,
            priority_queue_policy={2: policy},
        ),
        instance_groups=[triton.InstanceGroup(kind=triton.DeviceKind.KIND_GPU, count=2, gpus=[0, 1], name="a")],
        parameters={"k": 'quote " back\\slash', "unicode": "größe"},
        response_cache=True,
        inputs=[triton.InputTensorSpec(name="x", shape=(-1, 4), dtype=np.float32, optional=True)],
        outputs=[triton.OutputTensorSpec(name="t", shape=(1,), dtype=object, label_filename="labels.txt")],
        warmup={
            "one": triton.ModelWarmup(
                inputs={"x": triton.ModelWarmupInput(shape=(5, 4), dtype=np.float32)}, batch_size=2, iterations=3
            )
        },
        optimization=triton.TensorRTAccelerator(
            precision=triton.TensorRTAccelPrecision.PRECISION_FP16, max_workspace_size=512
        ),
    )
    found = parse(config.to_pbtxt("net"))
    assert found.max_batch_size == 16
    assert list(found.dynamic_batching.preferred_batch_size) == [4, 8]
    assert found.dynamic_batching.priority_levels == 2
    assert found.dynamic_batching.priority_queue_policy[2].default_timeout_microseconds == 7
    assert found.dynamic_batching.default_queue_policy.timeout_action == 1
    assert list(found.instance_group[0].gpus) == [0, 1]
    assert found.instance_group[0].count == 2
    assert found.parameters["k"].string_value == 'quote " back\\slash'
    assert found.parameters["unicode"].string_value == "größe"
    assert found.response_cache.enable
    assert list(found.input[0].dims) == [-1, 4]
    assert found.input[0].optional
    assert found.output[0].data_type == 13, "texts are TYPE_STRING"
    assert found.output[0].label_filename == "labels.txt"
    assert found.model_warmup[0].count == 3
    assert list(found.model_warmup[0].inputs["x"].dims) == [5, 4]
    accelerator = found.optimization.execution_accelerators.gpu_execution_accelerator[0]
    assert accelerator.name == "tensorrt"
    assert dict(accelerator.parameters) == {"precision_mode": "FP16", "max_workspace_size_bytes": str(512 << 20)}


@pytest.mark.defect("ND26")
def test_a_sequence_batcher_is_written_with_its_idle_time(parse) -> None:
    kinds = triton.SequenceBatcherControlKind
    config = triton.ONNXModelConfig(
        batcher=triton.SequenceBatcher(
            strategy=triton.SequenceBatcherStrategyOldest(max_candidate_sequences=4, preferred_batch_size=[2]),
            max_sequence_idle_microseconds=9,
            control_inputs=[
                triton.SequenceBatcherControlInput(
                    input_name="start",
                    controls=[
                        triton.SequenceBatcherControl(kind=kinds.CONTROL_SEQUENCE_START, fp32_false_true=[0.0, 1.0])
                    ],
                )
            ],
            states=[
                triton.SequenceBatcherState(
                    input_name="h",
                    output_name="h_out",
                    dtype=np.float32,
                    shape=(8,),
                    initial_states=[
                        triton.SequenceBatcherInitialState(name="zero", shape=(8,), dtype=np.float32, zero_data=True)
                    ],
                )
            ],
        )
    )
    found = parse(config.to_pbtxt("net")).sequence_batching
    assert found.max_sequence_idle_microseconds == 9
    assert found.oldest.max_candidate_sequences == 4
    assert list(found.control_input[0].control[0].fp32_false_true) == [0, 1]
    assert found.state[0].initial_state[0].zero_data
    direct = triton.SequenceBatcher(strategy=triton.SequenceBatcherStrategyDirect(minimum_slot_utilization=0.5))
    assert (
        parse(triton.ONNXModelConfig(batcher=direct).to_pbtxt("n")).sequence_batching.direct.minimum_slot_utilization
        == 0.5
    )


def test_without_a_batch_axis_the_size_is_an_explicit_zero_and_nothing_batches(parse) -> None:
    text = triton.ONNXModelConfig(batching=False).to_pbtxt("net")
    assert "max_batch_size: 0" in text
    assert not parse(text).HasField("dynamic_batching")


def test_the_platform_wins_over_the_backend(parse) -> None:
    found = parse(triton.ONNXModelConfig(platform=triton.Platform.ONNXRuntimeONNX).to_pbtxt("net"))
    assert (found.platform, found.backend) == ("onnxruntime_onnx", "")


@pytest.mark.defect("ND26")
def test_an_optimisation_writes_what_was_asked_for_and_nothing_else(parse) -> None:
    config = triton.TensorRTModelConfig(optimization=triton.TensorRTOptimization(cuda_graphs=True))
    found = parse(config.to_pbtxt("net")).optimization
    assert found.cuda.graphs
    assert not found.eager_batching
    with pytest.raises(WrongParameterError):
        triton.TensorRTOptimization()


@pytest.mark.parametrize(
    "make",
    [
        lambda: triton.ONNXModelConfig(max_batch_size=0),
        lambda: triton.PyTorchModelConfig(),
        lambda: triton.DynamicBatcher(preferred_batch_size=[0]),
        lambda: triton.DynamicBatcher(max_queue_delay_microseconds=-1),
        lambda: triton.DynamicBatcher(priority_levels=2, default_priority_level=0),
        lambda: triton.DynamicBatcher(priority_levels=2, default_priority_level=3),
        lambda: triton.InstanceGroup(count=0),
        lambda: triton.InstanceGroup(kind=triton.DeviceKind.KIND_CPU, gpus=[0]),
        lambda: triton.InputTensorSpec(name="", shape=(1,), dtype=np.float32),
        lambda: triton.InputTensorSpec(name="x", shape=(0,), dtype=np.float32),
        lambda: triton.InputTensorSpec(name="x", shape=(1,), dtype=np.complex64),
        lambda: triton.ModelWarmupInput(shape=(1,), dtype=np.float32, input_data_file="../x"),
        lambda: triton.ONNXModelConfig(parameters={"a": 1}),
    ],
)
def test_values_that_a_server_would_refuse_are_refused_when_they_are_made(make: Any) -> None:
    with pytest.raises(WrongParameterError):
        make()


@pytest.mark.defect("ND26")
def test_a_version_that_is_there_stays_unless_it_is_to_be_replaced(tmp_path, onnx_file) -> None:
    add_model(tmp_path, "net", onnx_file, triton.ONNXModelConfig())
    marker = tmp_path / "net" / "1" / "mine.txt"
    marker.write_text("")
    with pytest.raises(DeployerError, match="is there already"):
        add_model(tmp_path, "net", onnx_file, triton.ONNXModelConfig())
    assert marker.is_file()
    add_model(tmp_path, "net", onnx_file, triton.ONNXModelConfig(), override=True)
    assert not marker.exists()


def test_an_older_version_survives_a_replacement_that_fails(tmp_path, onnx_file, monkeypatch) -> None:
    marker = add_model(tmp_path / "repo", "net", onnx_file, triton.ONNXModelConfig()) / "1" / "mine"
    marker.touch()
    rename = Path.rename

    def fails(self: Path, target: Path) -> Path:
        if self.name == "1" and self.parent.name.startswith(".adding-"):
            raise OSError("the disk is gone")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fails)
    with pytest.raises(DeployerError, match="cannot be written"):
        add_model(tmp_path / "repo", "net", onnx_file, triton.ONNXModelConfig(), override=True)
    assert marker.is_file()


@pytest.mark.defect("ND26")
def test_a_wrong_path_or_name_leaves_nothing_behind(tmp_path, onnx_file) -> None:
    with pytest.raises(DeployerError, match="no such model"):
        add_model(tmp_path / "repo", "net", tmp_path / "missing.onnx", triton.ONNXModelConfig())
    with pytest.raises(WrongParameterError):
        add_model(tmp_path / "repo", "../net", onnx_file, triton.ONNXModelConfig())
    with pytest.raises(WrongParameterError, match="takes"):
        add_model(tmp_path / "repo", "net", onnx_file, triton.TensorRTModelConfig())
    tensor = [triton.InputTensorSpec(name="x", shape=(4,), dtype=np.float32)]
    with pytest.raises(WrongParameterError, match=r"takes \.py"):
        add_model(tmp_path / "repo", "net", onnx_file, triton.PythonModelConfig(inputs=tensor, outputs=tensor))
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no model")
    with pytest.raises(InputError):
        add_model(tmp_path / "repo", "net", broken, triton.ONNXModelConfig())
    assert not (tmp_path / "repo" / "net").exists()


def test_the_best_model_of_a_package_that_can_be_served_with_its_tensors_and_device(
    tmp_path, onnx_file, parse
) -> None:
    made = add_model_from_package(tmp_path / "repo", "net", package(onnx_file), warmup=True)
    config = parse((made / "config.pbtxt").read_text())
    assert config.backend == "onnxruntime", "the source model is faster, and no server executes it"
    assert config.max_batch_size == 8
    assert [(each.name, list(each.dims)) for each in config.input] == [("x", [4])]
    assert [(each.name, list(each.dims)) for each in config.output] == [("y", [3])]
    assert config.instance_group[0].kind == 2, "KIND_CPU"
    assert [(each.name, each.batch_size) for each in config.model_warmup] == [("batch_1", 1), ("batch_8", 8)]


def test_an_unbatched_package_keeps_its_shapes(tmp_path, onnx_file, parse) -> None:
    made = add_model_from_package(tmp_path / "repo", "net", package(onnx_file, rung(1.0, None), batch_dim=None))
    config = parse((made / "config.pbtxt").read_text())
    assert config.max_batch_size == 0
    assert list(config.input[0].dims) == [-1, 4]


def test_packages_that_cannot_be_served_say_why(tmp_path, onnx_file) -> None:
    with pytest.raises(EmptyPackageError):
        add_model_from_package(
            tmp_path, "net", Package(status(model(Format.TORCH, runner("TorchCPU", rung(1.0)))), tmp_path)
        )
    with pytest.raises(WrongParameterError, match="first axis"):
        add_model_from_package(tmp_path, "net", package(onnx_file, batch_dim=1))
    only = Package(status(model(Format.OPENVINO, runner("OpenVINO", rung(1.0)))), tmp_path)
    with pytest.raises(RuntimeAnalyzerError) as raised:
        add_model_from_package(tmp_path, "net", only)
    assert "openvino @ OpenVINO: Triton serves no models of the format openvino" in raised.value.evidence


@pytest.mark.defect("ND17", "ND27")
def test_pytriton_is_told_the_packages_own_batching_and_maximum(tmp_path, onnx_file) -> None:
    found = package(onnx_file, rung(0.1), rung(0.15, 8))
    adapter = PyTritonAdapter(found)
    assert adapter.batching
    assert adapter.config.max_batch_size == 8
    assert adapter.inputs[0].shape == (4,)
    unbatched = PyTritonAdapter(package(onnx_file, rung(0.1, None), batch_dim=None))
    assert not unbatched.batching
    assert unbatched.config.batching is False
    assert unbatched.config.max_batch_size == 1
    with unbatched.runner as active:
        assert active.infer({"x": np.ones((2, 4), np.float32)})["y"].shape == (2, 3)
