"""What a call was asked for, read back from a package."""

from __future__ import annotations

import inspect
from dataclasses import fields

from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.call_settings import stored_configs
from turnkey.navigator.dispatch import optimize
from turnkey.navigator.format_configs import OnnxConfig
from turnkey.navigator.inplace_settings import OptimizeConfig


def test_a_package_cannot_name_a_file_of_this_machine_to_be_used_instead_of_an_export() -> None:
    stored = {"custom_configs": {"Onnx": {"opset": 18, "model_path": "/etc/passwd"}, "Unknown": {}}}
    [config] = stored_configs(stored, defaults=False)
    assert isinstance(config, OnnxConfig)
    assert (config.opset, config.model_path) == (18, None)


def test_the_signature_of_optimize_and_the_fields_of_a_call_are_the_same_names_with_the_same_defaults() -> None:
    shown = {name: each.default for name, each in inspect.signature(optimize).parameters.items()}
    del shown["model"], shown["dataloader"]
    assert shown == {each.name: each.default for each in fields(CallArguments)}
    assert {each.name for each in fields(OptimizeConfig)} <= set(shown), "in place takes some of them"
