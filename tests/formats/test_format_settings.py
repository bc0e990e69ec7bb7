"""Settings of formats, read from texts."""

from __future__ import annotations

import pytest

from turnkey.errors import UsageError
from turnkey.formats import find_format
from turnkey.formats.format_settings import settings_of


def test_settings_are_read_by_the_type_of_their_defaults():
    script = settings_of(find_format("torchscript-script"), {"freeze": "no"})
    assert (script.strict, script.freeze) == (True, False)
    package = settings_of(find_format("torch-aoti"), {"threads": "2", "max_autotune": "true"})
    assert (package.threads, package.max_autotune, package.freezing) == (2, True, True)
    assert settings_of(find_format("onnx-fp16"), {"block": ["Softmax"]}).block == ("Softmax",)
    asked = settings_of(find_format("torch-exportedprogram-int8-static"), {"reduce_range": "false"})
    assert asked.reduce_range is False  # by its annotation: its default asks the processor
    assert settings_of(find_format("onnx"), {"dynamic": ["x:1"]}).dynamic == (("x", 1),)
    with pytest.raises(UsageError, match="NAME:AXIS"):
        settings_of(find_format("onnx"), {"dynamic": "x"})
