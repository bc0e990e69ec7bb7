"""What a call was asked for, read back from a package."""

from __future__ import annotations

import inspect
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from turnkey.errors import ArtifactError
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.call_settings import stored_configs
from turnkey.navigator.dispatch import optimize
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format_configs import OnnxConfig
from turnkey.navigator.inplace_settings import OptimizeConfig


def test_a_package_cannot_name_a_file_of_this_machine_to_be_used_instead_of_an_export() -> None:
    stored = {"custom_configs": {"Onnx": {"opset": 18, "model_path": "/etc/passwd"}, "Unknown": {}}}
    [config] = stored_configs(stored, defaults=False)
    assert isinstance(config, OnnxConfig)
    assert (config.opset, config.model_path) == (18, None)


def test_stored_configurations_of_other_versions_are_read_and_impossible_ones_are_refused() -> None:
    [config] = stored_configs({"custom_configs": {"Onnx": {"opset": 18, "of_a_later_version": 1}}}, defaults=False)
    assert isinstance(config, OnnxConfig)
    for wrong in ({"TensorRT": {"precision": 3}}, {"TensorRT": {"trt_profile": {"x": 3}}}, {"Onnx": {"opset": "x"}}):
        with pytest.raises((ArtifactError, ConfigurationError)):
            stored_configs({"custom_configs": wrong}, defaults=False)


def test_the_signature_of_optimize_and_the_fields_of_a_call_are_the_same_names_with_the_same_defaults() -> None:
    shown = {name: each.default for name, each in inspect.signature(optimize).parameters.items()}
    del shown["model"], shown["dataloader"]
    assert shown == {each.name: each.default for each in fields(CallArguments)}
    in_place = {each.name: each.default for each in fields(OptimizeConfig)}
    assert in_place == {**shown, "batching": None}, "in place takes all of them"


def test_a_module_in_place_has_a_workspace_of_its_own_and_no_other() -> None:
    with pytest.raises(ConfigurationError, match="workspaces of their own"):
        OptimizeConfig(workspace="there")
    config = OptimizeConfig(threads=1, effort="standard", verify_func=max)
    made = config.for_module(batching=False, custom_configs=[], workspace=Path("of-the-module"))
    assert (made.threads, made.effort, made.verify_func, made.batching) == (1, "standard", max, False)
    assert (made.workspace, made.override_workspace) == (Path("of-the-module"), True)


def test_every_value_of_a_type_that_nobody_expects_is_named_at_once() -> None:
    wrong: dict[str, Any] = {
        "sample_count": 0,
        "input_names": 5,
        "output_names": ["y", "y"],
        "target_formats": 7,
        "runners": [3],
        "workspace": 4,
        "budget_s": -1,
        "custom_configs": OnnxConfig(),
        "tolerances": {"y": 1e-3},
        "optimization_profile": {"window_size": 5},
    }
    with pytest.raises(ConfigurationError, match=f"has {len(wrong)} problems") as raised:
        optimize(len, [1], **wrong)
    lines = raised.value.evidence.splitlines()
    assert "output_names has a name twice: ['y', 'y']" in lines
    for name in ("sample_count", "input_names", "target_formats", "runners", "workspace", "budget_s"):
        assert any(line.startswith(f"{name} is ") for line in lines), name
    assert "a tolerance is a pair (atol, rtol), or None: y: 0.001" in lines
    assert "optimization_profile is a dict, not an OptimizationProfile" in lines
    assert any(line.startswith("custom_configs is OnnxConfig(") for line in lines)
