"""Which models a call makes, under which keys."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch

import turnkey.navigator as nav
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.call_settings import check_call
from turnkey.navigator.conversion import obstacle_of, plugin_of
from turnkey.navigator.custom_config import configs_by_format
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.format import Format
from turnkey.navigator.model_config import plan_models, targets_of
from turnkey.navigator.plan import planned_steps


def keys(source: Format, targets: list[str] | None, *configs: object) -> list[str]:
    found = targets_of(source, targets)
    return [model.key for model in plan_models(source, found, configs_by_format(list(configs)))]  # type: ignore[arg-type]


def test_default_targets_of_torch_with_their_documented_keys_source_first() -> None:
    assert keys(Format.TORCH, None) == [
        "torch",
        "torchscript-script",
        "torchscript-trace",
        "torch-exportedprogram",
        "torch-trt-fp32",
        "torch-trt-fp16",
        "onnx",
        "trt-fp32",
        "trt-fp16",
    ]


def test_functions_of_jax_and_tensorflow_become_what_their_formats_make_of_them() -> None:
    targets = targets_of(Format.PYTHON, ["stablehlo", "onnx"])
    models = plan_models(Format.PYTHON, targets, {})
    assert [(each.key, each.path, each.parent_key) for each in models] == [
        ("python", "python/----", None),
        ("stablehlo", "stablehlo/model.stablehlo", "python"),
        ("tf-savedmodel", "tf-savedmodel/model.savedmodel", "python"),
        ("onnx", "onnx/model.onnx", "tf-savedmodel"),
    ]
    assert [plugin_of(each) for each in models[1:]] == ["jax", "tf-savedmodel", "onnx-tensorflow"]


@pytest.mark.parametrize(
    ("module", "targets"),
    [
        ("keras.src.models.functional", ["python", "tf-savedmodel", "onnx"]),
        ("tensorflow.python.eager.polymorphic_function", ["python", "tf-savedmodel", "onnx"]),
        ("jaxlib._jax", ["python", "stablehlo"]),
        ("mine", ["python"]),
    ],
)
def test_a_callable_of_a_library_becomes_by_default_what_functions_of_that_library_can(
    module: str, targets: list[str]
) -> None:
    kind = type("Model", (), {"__module__": module, "__call__": lambda self, x: x})
    derived = type("Mine", (kind,), {"__module__": "mine"})
    for model in (kind(), derived()):
        assert [each.value for each in check_call(model, CallArguments()).targets] == targets
    assert check_call(kind(), CallArguments(target_formats=["python"])).targets == (Format.PYTHON,)


@pytest.mark.parametrize(
    ("key", "plugin"),
    [
        ("trt-fp32", "tensorrt"),
        ("trt-fp16", "tensorrt-fp16"),
        ("torch-trt-fp32", "torch-tensorrt"),
        ("torch-trt-fp16", "torch-tensorrt-fp16"),
    ],
)
def test_the_documented_names_of_engines_lead_to_turnkeys_formats(key: str, plugin: str) -> None:
    from turnkey.formats import FORMATS

    models = {each.key: each for each in plan_models(Format.TORCH, targets_of(Format.TORCH, None), {})}
    assert plugin_of(models[key]) == plugin
    assert plugin in FORMATS.names()
    assert "needs" in obstacle_of(models[key]) or "tensorrt" in obstacle_of(models[key]), "not installed, no more"


def test_each_tuple_multiplies_the_models() -> None:
    assert keys(Format.TORCH, ["torchscript"], nav.TorchScriptConfig(jit_type="trace")) == [
        "torch",
        "torchscript-trace",
    ]
    made = keys(Format.ONNX, ["trt"], nav.TensorRTConfig(precision=("fp16", "int8", "fp32")))
    assert made == ["onnx", "trt-fp16", "trt-int8", "trt-fp32"]


def test_extended_conversion_exports_torchscript_to_onnx_too() -> None:
    made = keys(Format.TORCH, ["torchscript", "onnx"], nav.OnnxConfig(onnx_extended_conversion=True))
    assert made[-2:] == ["onnx-script", "onnx-trace"]


def test_paths_are_key_and_model_with_the_documented_suffix_or_the_placeholder() -> None:
    models = {model.key: model.path for model in plan_models(Format.TORCH, targets_of(Format.TORCH, None), {})}
    assert models["torch"] == "torch/----"
    assert models["torchscript-trace"] == "torchscript-trace/model.pt"
    assert models["torch-exportedprogram"] == "torch-exportedprogram/model.pt2"
    assert models["onnx"] == "onnx/model.onnx"
    assert models["trt-fp16"] == "trt-fp16/model.plan"


def test_a_target_that_the_framework_does_not_know_is_refused_with_those_it_knows() -> None:
    with pytest.raises(ConfigurationError, match="no target format torchscript"):
        targets_of(Format.ONNX, ["torchscript"])
    with pytest.raises(ConfigurationError, match="nothing can be made of tensorflow models here"):
        targets_of(Format.TENSORFLOW, ["onnx"])


def test_two_configurations_of_one_name_are_an_error_and_the_older_alias_becomes_a_torchscript_config() -> None:
    with pytest.raises(ConfigurationError, match="two custom configs"):
        configs_by_format([nav.OnnxConfig(), nav.OnnxConfig(opset=18)])
    found = configs_by_format([nav.TorchConfig(jit_type="trace")])
    assert found[Format.TORCHSCRIPT] == nav.TorchScriptConfig(jit_type="trace")


def test_a_configuration_for_no_format_is_an_error_and_one_for_no_target_warns() -> None:
    class Mine(nav.CustomConfig):
        @classmethod
        def name(cls) -> str:
            return "Mine"

    with pytest.raises(ConfigurationError):
        check_call(np.sin, CallArguments(custom_configs=[Mine()]))
    with pytest.warns(ConfigurationWarning, match="no target"):
        check_call(np.sin, CallArguments(custom_configs=[nav.OnnxConfig()]))


def test_a_field_that_nothing_acts_on_is_said() -> None:
    with pytest.warns(ConfigurationWarning, match="autocast of the custom config TorchExportedProgram"):
        check_call(
            torch.nn.Identity(),
            CallArguments(
                target_formats=["torch-exportedprogram"],
                custom_configs=[nav.TorchExportConfig(autocast=True)],
            ),
        )


def test_all_problems_of_a_call_are_told_before_any_work_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as raised:
        check_call(
            np.sin,
            CallArguments(
                sample_count=0,
                batching=False,
                runners=["NoSuchRunner"],
                target_formats=["torchscript"],
                profiler_config=nav.ProfilerConfig(batch_sizes=[1]),
                verify_func=3,  # type: ignore[arg-type]
            ),
        )
    for word in ("sample_count", "batching=False", "NoSuchRunner", "torchscript", "verify_func"):
        assert word in raised.value.evidence
    assert "5 problems" in raised.value.what


def test_runners_must_fit_the_device() -> None:
    with pytest.raises(ConfigurationError, match="problem"):
        check_call(np.sin, CallArguments(runners=["OnnxCUDA"], target_device="cpu"))
    for given in (None, ["PythonRunner"]):
        asked = check_call(np.sin, CallArguments(runners=given, target_device="cuda"))
        assert "PythonRunner" in [kind.name for kind in asked.kinds], "a callable computes where it likes"


def test_both_forms_of_the_profilers_configuration_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError):
        check_call(
            np.sin, CallArguments(profiler_config=nav.ProfilerConfig(), optimization_profile=nav.OptimizationProfile())
        )


def test_the_later_form_equals_its_constructor_and_checks_its_windows() -> None:
    assert nav.OptimizationProfile.from_dict({}) == nav.OptimizationProfile()
    profile = nav.OptimizationProfile(batch_sizes=[1, 2], dataloader=[1])
    assert "dataloader" not in profile.to_dict()
    assert nav.OptimizationProfile.from_dict(profile.to_dict(parse=True)) == profile.clone()
    with pytest.raises(ConfigurationError, match="anything"):
        nav.OptimizationProfile(min_trials=2)
    with pytest.raises(ConfigurationError):
        nav.OptimizationProfile(throughput_backoff_limit=-1)


def test_a_tensorrt_profile_varies_only_axes_that_the_file_leaves_free_and_batches_of_one_range() -> None:
    profile = nav.TensorRTProfile().add("x", (1, 3), (2, 3), (4, 9)).add("y", (2, 3), (2, 3), (2, 3))
    given = [nav.TensorRTConfig(trt_profile=profile), nav.OnnxConfig(dynamic_axes={"x": {0: "batch"}})]
    with pytest.raises(ConfigurationError) as raised:
        check_call(torch.nn.Identity(), CallArguments(custom_configs=given, input_names=["x"]))
    assert "varies what dynamic_axes fixes: x, axis 1" in raised.value.evidence
    assert "several batch ranges" in raised.value.evidence
    assert "inputs ['x', 'y'], the model ['x']" in raised.value.evidence


@pytest.mark.defect("ND16")
def test_an_engine_that_cannot_be_made_here_is_planned_with_the_reason_and_not_dropped() -> None:
    if importlib.util.find_spec("torch_tensorrt") is not None:
        pytest.skip("Torch-TensorRT is installed")
    config = nav.TorchTensorRTConfig(precision="fp16")
    given = CallArguments(target_formats=["torch-trt"], custom_configs=[config], target_device="cpu")
    steps = {step.subject: step for step in planned_steps(check_call(torch.nn.Linear(4, 3), given))}
    assert "torch-tensorrt" in steps["torch-trt-fp16"].obstacle, "Turnkey's name of that format, with what it needs"
    assert "pip install" in steps["torch-trt-fp16"].obstacle
    assert steps["torch-exportedprogram"].obstacle == ""
