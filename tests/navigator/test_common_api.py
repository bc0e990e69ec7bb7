"""The Common API page: names, defaults and semantics as documented, where the page contradicts itself the table's."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import turnkey.navigator as nav
from turnkey.navigator.api import MeasurementMode, ProfilerConfig
from turnkey.navigator.api.config import (
    DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD,
    CustomConfig,
    CustomConfigForFormat,
    Format,
    Sample,
    SizedDataLoader,
    SizedIterable,
    VerifyFunction,
)
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning


def test_the_profiler_configuration_has_the_documented_fields_and_defaults_and_no_other() -> None:
    assert {field.name: field.default for field in dataclasses.fields(ProfilerConfig)} == {
        "run_profiling": True,
        "batch_sizes": None,
        "measurement_mode": MeasurementMode.COUNT_WINDOWS,
        "measurement_interval": 5000,
        "measurement_request_count": 50,
        "stability_percentage": 10.0,
        "max_trials": 10,
        "throughput_cutoff_threshold": DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD,
    }
    assert DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD == 0.05


def test_an_empty_dictionary_gives_the_constructors_defaults() -> None:
    assert ProfilerConfig.from_dict({}) == ProfilerConfig()


def test_an_interval_or_a_count_of_none_as_older_packages_hold_it_is_the_default() -> None:
    found = ProfilerConfig.from_dict({"measurement_interval": None, "measurement_request_count": None})
    assert found == ProfilerConfig()


def test_an_explicit_threshold_of_minus_two_still_means_never_stop() -> None:
    assert ProfilerConfig.from_dict({"throughput_cutoff_threshold": -2}).never_stops
    assert ProfilerConfig(throughput_cutoff_threshold=None).never_stops
    assert not ProfilerConfig().never_stops


def test_an_unknown_key_warns_with_the_nearest_known_name_and_is_ignored() -> None:
    with pytest.warns(ConfigurationWarning, match="did you mean 'max_trials'"):
        assert ProfilerConfig.from_dict({"max_trial": 3}) == ProfilerConfig()


@given(
    mode=st.sampled_from(MeasurementMode),
    sizes=st.none() | st.just([None]) | st.lists(st.integers(1, 1 << 20), min_size=1),
    count=st.none() | st.integers(1, 10_000),
    interval=st.none() | st.floats(1, 1e6),
    percentage=st.floats(0.01, 1000),
    trials=st.integers(1, 100),
    threshold=st.none() | st.floats(-5, 5),
    is_run=st.booleans(),
)
def test_to_dict_and_from_dict_are_inverse(
    mode: MeasurementMode,
    sizes: Any,
    count: int | None,
    interval: float | None,
    percentage: float,
    trials: int,
    threshold: float | None,
    is_run: bool,
) -> None:
    config = ProfilerConfig(
        run_profiling=is_run,
        batch_sizes=sizes,
        measurement_mode=mode,
        measurement_request_count=count if mode is MeasurementMode.TIME_WINDOWS else count or 50,
        measurement_interval=interval if mode is MeasurementMode.COUNT_WINDOWS else interval or 5000,
        stability_percentage=percentage,
        max_trials=trials,
        throughput_cutoff_threshold=threshold,
    )
    assert ProfilerConfig.from_dict(config.to_dict(parse=True)) == config


@pytest.mark.defect("ND7")
@pytest.mark.parametrize(
    "fields",
    [
        {"batch_sizes": [0, -3]},
        {"batch_sizes": [None, 4]},
        {"batch_sizes": []},
        {"batch_sizes": [True]},
        {"max_trials": 0},
        {"measurement_request_count": 0},
        {"measurement_request_count": None},
        {"measurement_interval": 0.5},
        {"measurement_interval": None, "measurement_mode": "time_windows"},
        {"stability_percentage": 0},
        {"stability_percentage": float("nan")},
        {"throughput_cutoff_threshold": float("nan")},
        {"measurement_mode": "windows"},
        {"run_profiling": "yes"},
    ],
)
def test_values_that_do_not_mean_anything_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        ProfilerConfig(**fields)


def test_all_problems_of_a_configuration_are_in_one_error() -> None:
    with pytest.raises(ConfigurationError) as raised:
        ProfilerConfig(max_trials=0, batch_sizes=[0])
    assert "max_trials" in raised.value.evidence
    assert "batch_sizes" in raised.value.evidence


def test_the_mode_may_be_given_as_its_text() -> None:
    assert ProfilerConfig(measurement_mode="time_windows").measurement_mode is MeasurementMode.TIME_WINDOWS  # type: ignore[arg-type]


def test_a_sized_iterable_is_told_at_run_time() -> None:
    class Loader:
        def __iter__(self) -> Any:
            return iter([1])

        def __len__(self) -> int:
            return 1

    assert isinstance(Loader(), SizedIterable)
    assert isinstance([torch.ones(1)], SizedIterable)
    assert not isinstance(iter([1]), SizedIterable)
    assert SizedDataLoader is not None
    assert VerifyFunction is not None
    assert Sample is not None


def test_formats_are_stored_by_their_documented_values() -> None:
    documented = {
        "PYTHON": "python",
        "TORCH": "torch",
        "TENSORFLOW": "tensorflow",
        "JAX": "jax",
        "TORCHSCRIPT": "torchscript",
        "TORCH_EXPORTEDPROGRAM": "torch-exportedprogram",
        "TF_SAVEDMODEL": "tf-savedmodel",
        "TF_TRT": "tf-trt",
        "TORCH_TRT": "torch-trt",
        "ONNX": "onnx",
        "TENSORRT": "trt",
    }
    assert {name: Format[name].value for name in documented} == documented


def test_a_custom_config_is_abstract_and_its_base_does_what_the_page_says() -> None:
    class Mine(CustomConfig):
        def __init__(self, value: int = 1) -> None:
            self.value = value

        @classmethod
        def name(cls) -> str:
            return "Mine"

    with pytest.raises(TypeError):
        CustomConfig()  # type: ignore[abstract]
    made = Mine.from_dict({"value": 3})
    assert made.value == 3
    assert made.defaults() is None
    assert made.value == 3
    assert issubclass(CustomConfigForFormat, CustomConfig)


def test_defaults_restores_every_field() -> None:
    config = nav.OnnxConfig(opset=13, onnx_extended_conversion=True, dynamic_axes={"x": [0]})
    config.defaults()
    assert config == nav.OnnxConfig()
    assert config.opset == 17


def test_the_configurations_have_the_documented_names_formats_and_defaults() -> None:
    assert nav.TorchConfig.name() == "Torch"
    assert nav.OnnxConfig.name() == "Onnx"
    assert nav.TensorRTConfig.name() == "TensorRT"
    assert nav.TorchTensorRTConfig.name() == "TorchTensorRT"
    assert nav.TorchScriptConfig().jit_type == (nav.JitType.SCRIPT, nav.JitType.TRACE)
    assert nav.TorchScriptConfig(jit_type="trace").jit_type == (nav.JitType.TRACE,)
    assert nav.TensorRTConfig().precision == (nav.TensorRTPrecision.FP32, nav.TensorRTPrecision.FP16)
    assert nav.TensorRTConfig().precision_mode is nav.TensorRTPrecisionMode.HIERARCHY
    assert nav.TensorRTConfig().max_workspace_size == 8589934592
    assert nav.TorchConfig().autocast is False
    assert nav.TensorRTConfig().format is Format.TENSORRT


def test_configurations_are_data_objects() -> None:
    config = nav.TorchScriptConfig(jit_type="trace", strict=False)
    assert config.to_dict(filter_fields=["autocast", "autocast_dtype", "inference_mode"]) == {
        "jit_type": (nav.JitType.TRACE,),
        "strict": False,
    }
    assert config.to_dict(parse=True)["jit_type"] == ["trace"]
    assert nav.TorchScriptConfig.from_dict(config.to_dict(parse=True)) == config


def test_a_tensorrt_profile_chains_and_names_what_it_knows() -> None:
    profile = nav.TensorRTProfile().add("x", (1, 3), (2, 3), (4, 3)).add("y", (1,), (1,), (1,))
    assert nav.TensorRTProfile.from_dict(profile.to_dict()) == profile
    with pytest.raises(KeyError, match="it has: x, y"):
        profile["z"]
    with pytest.raises(ConfigurationError):
        profile.add("w", (4,), (2,), (1,))


@pytest.mark.defect("ND23")
def test_every_documented_name_exists_on_every_installation() -> None:
    for name in nav.__all__:
        assert getattr(nav, name) is not None, name


@pytest.mark.defect("ND24")
def test_importing_the_door_changes_nothing_of_the_process() -> None:
    import subprocess
    import sys

    program = """
import logging, random, sys, warnings
before = (random.getstate(), list(logging.root.handlers), logging.root.level, list(warnings.filters))
import turnkey.navigator
assert before == (random.getstate(), list(logging.root.handlers), logging.root.level, list(warnings.filters))
assert not {"torch", "numpy", "onnx"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.defect("ND24")
def test_numpys_state_of_randomness_is_not_touched_by_choosing_samples() -> None:
    from turnkey.navigator.sample_sets import choose

    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    choose([{"x": np.ones(2)}] * 9, count=3, seed=0)
    assert (np.random.get_state()[1] == before).all()  # type: ignore[index]


@pytest.mark.parametrize(
    "make",
    [
        lambda: nav.TorchScriptConfig(jit_type=None),
        lambda: nav.TensorRTConfig(precision=3),
        lambda: nav.TensorRTConfig(trt_profile={"x": 3}),
        lambda: nav.TensorRTConfig(trt_profile={"x": {"min": (1,)}}),
    ],
)
def test_a_value_of_another_type_than_a_configuration_takes_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError):
        make()
