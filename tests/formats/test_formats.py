"""The table of formats."""

from __future__ import annotations

import subprocess
import sys

import pytest

from turnkey.errors import ConversionError, UsageError
from turnkey.formats import FORMATS, ConvertRequest, find_format


def test_looking_at_all_formats_loads_neither_torch_nor_onnx():
    program = (
        "import sys; from turnkey.formats import FORMATS, find_format;"
        "print([find_format(name).name for name in FORMATS.names()]);"
        "print([name for name in ('torch', 'onnx', 'onnxruntime', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [str(list(FORMATS.names())), "[]"]


@pytest.mark.parametrize("name", ["torch", "onnx", "onnx-torchscript", "onnx-opt", "onnx-fp16"])
def test_every_format_says_what_it_is_and_refuses_what_it_cannot_convert(name, tmp_path):
    form = find_format(name)
    assert form.name == name
    assert form.install.startswith("pip install")
    assert form.stored_as == ("torch" if name == "torch" else "onnx")
    with pytest.raises(ConversionError) as caught:
        form.convert(ConvertRequest(path=tmp_path / "m", settings=None))
    assert "turnkey -i SCRIPT.py discover" in caught.value.remedy


def test_an_unknown_format_is_a_usage_error_that_lists_the_known_ones():
    with pytest.raises(UsageError, match="'onx'") as caught:
        find_format("onx")
    assert "onnx-fp16" in caught.value.evidence


@pytest.mark.parametrize("name", FORMATS.builtin)
def test_every_format_has_its_name_defaults_for_its_settings_and_parents_that_exist(name):
    form = find_format(name)
    assert form.name == name
    assert form.settings_type() == form.settings_type()
    assert set(form.converts_from) <= set(FORMATS.names())
    assert form.install.startswith("pip install")


@pytest.mark.parametrize(
    "name",
    ["torchscript-trace", "torchscript-script", "torch-exportedprogram", "torch-aoti", "executorch", "python", "jax"],
)
def test_a_format_without_anything_to_convert_says_where_to_start(name, tmp_path):
    form = find_format(name)
    with pytest.raises(ConversionError) as caught:
        form.convert(ConvertRequest(path=tmp_path / "m", settings=form.settings_type()))
    assert "turnkey" in caught.value.remedy
    assert list(tmp_path.iterdir()) == []
