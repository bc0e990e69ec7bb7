"""What a call was asked for, read back from a package."""

from __future__ import annotations

from turnkey.navigator.call_settings import stored_configs
from turnkey.navigator.format_configs import OnnxConfig


def test_a_package_cannot_name_a_file_of_this_machine_to_be_used_instead_of_an_export() -> None:
    stored = {"custom_configs": {"Onnx": {"opset": 18, "model_path": "/etc/passwd"}, "Unknown": {}}}
    [config] = stored_configs(stored, defaults=False)
    assert isinstance(config, OnnxConfig)
    assert (config.opset, config.model_path) == (18, None)
