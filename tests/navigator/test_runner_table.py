"""Runners of installed plug-ins: found when they are needed, and a broken one stops no other."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnkey import plugins
from turnkey.navigator import runner_table
from turnkey.navigator.exceptions import ConfigurationWarning
from turnkey.navigator.format import DeviceKind, Format

CODE = """
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.runner import NavigatorRunner


class Fast(NavigatorRunner):
    @classmethod
    def name(cls):
        return "FastONNX"

    @classmethod
    def format(cls):
        return Format.ONNX

    @classmethod
    def devices_kind(cls):
        return [DeviceKind.CPU]

    def infer_impl(self, feed_dict):
        return feed_dict
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with one runner that works and one that does not."""
    (tmp_path / "fast_runners.py").write_text(CODE)
    info = tmp_path / "fast_runners-1.0.dist-info"
    info.mkdir()
    points = "[turnkey.runners]\nfast = fast_runners:Fast\nbroken = fast_runners:Missing\n"
    (info / "entry_points.txt").write_text(textwrap.dedent(points))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(runner_table, "_broken", set())
    plugins._entry_points.cache_clear()
    yield
    plugins._entry_points.cache_clear()


@pytest.mark.usefixtures("installed")
def test_an_installed_runner_is_there_without_being_registered_and_a_broken_one_is_said_once() -> None:
    with pytest.warns(ConfigurationWarning, match="the runner broken of an installed plug-in"):
        found = runner_table.runner_kinds()["FastONNX"]
    assert (found.format, found.device, found.place) == (Format.ONNX, DeviceKind.CPU, "fast_runners:Fast")
    assert runner_table.obstacle(found) == ""
    assert "FastONNX" in [kind.name for kind in runner_table.chosen_kinds(None, DeviceKind.CPU)]


def test_without_plugins_the_table_is_what_is_documented() -> None:
    names = list(runner_table.runner_kinds())
    for documented in ("PythonRunner", "TorchCPU", "TorchCUDA", "OnnxCPU", "OnnxTensorRT", "TensorRTCUDAGraph"):
        assert documented in names
