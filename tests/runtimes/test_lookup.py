"""Runtimes by name, alias and format."""

from __future__ import annotations

import subprocess
import sys

import pytest

from turnkey.errors import MissingDependencyError, UsageError
from turnkey.runtimes import RUNTIMES, default_runtime, find_runtime, lookup
from turnkey.runtimes.lookup import known_runtime


@pytest.mark.parametrize(
    ("asked", "name"),
    [("ort", "onnxruntime"), ("torch-eager", "torch"), ("torch-compiled", "torch-compile"), ("trt", "tensorrt")],
)
def test_the_originals_names_are_read(asked, name):
    assert known_runtime(asked) == name
    assert known_runtime(name) == name


def test_an_unknown_runtime_lists_the_known_ones():
    with pytest.raises(UsageError, match="tvm") as caught:
        find_runtime("tvm")
    assert "onnxruntime" in caught.value.evidence


def test_a_runtime_that_lacks_its_package_says_which_and_how_to_install_it(monkeypatch):
    runtime = find_runtime("onnxruntime")
    monkeypatch.setattr(type(runtime), "requires", ("a_package_that_is_not_here",))
    with pytest.raises(MissingDependencyError, match="a_package_that_is_not_here") as caught:
        find_runtime("onnxruntime")
    assert caught.value.remedy == "pip install onnxruntime"


def test_every_format_has_its_first_runtime():
    assert default_runtime("onnx") == "onnxruntime"
    assert default_runtime("torch") == "torch"
    with pytest.raises(UsageError, match="stone"):
        default_runtime("stone")


def test_a_runtime_of_another_distribution_is_found_through_its_entry_point(tmp_path, monkeypatch):
    (tmp_path / "abacus.py").write_text(
        "class Abacus:\n    name='abacus'; aliases=(); executes=('beads',); requires=(); devices=('cpu',)\n"
        "    install=''; compiles=False\n\nRUNTIME = Abacus()\n"
    )
    metadata = tmp_path / "abacus-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: abacus\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[turnkey.runtimes]\nabacus = abacus:RUNTIME\n")
    code = (
        "from turnkey.runtimes import find_runtime, default_runtime\n"
        "print(find_runtime('abacus').executes, default_runtime('beads'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "('beads',) abacus"


def test_looking_up_runtimes_imports_none_of_their_packages():
    code = (
        "import sys; from turnkey.runtimes.lookup import known_runtime\n"
        f"[known_runtime(name) for name in {list(RUNTIMES.builtin)!r}]\n"
        "print([name for name in ('torch', 'onnxruntime', 'onnx') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert lookup.RUNTIMES is RUNTIMES
