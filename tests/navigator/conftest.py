"""What these tests share: one small package, made once, and runner classes that a worker can import."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # navigator_statuses.py, shared by these tests

from navigator_samples import SMALL, TEXT, samples

import turnkey
import turnkey.navigator as nav
from turnkey.navigator.runner_table import remove_kind


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace of an ONNX model; copy it before changing it (`package`)."""
    root = tmp_path_factory.mktemp("navigator")
    onnx.save(onnx.parser.parse_model(TEXT), str(root / "exp.onnx"))
    found = turnkey.onnx.optimize(
        root / "exp.onnx", samples(), workspace=root / "workspace", profiler_config=SMALL, target_formats=["onnx"]
    )
    assert found.workspace == root / "workspace"
    return root / "workspace"


@pytest.fixture
def package(made: Path, tmp_path: Path) -> nav.Package:
    """The package in a workspace of its own."""
    shutil.copytree(made, tmp_path / "workspace")
    return nav.package.load_from_workspace(tmp_path / "workspace")


@pytest.fixture
def runner_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], type]]:
    """Writes a runner class for Python functions into a module that workers can import, and registers it."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    names: list[str] = []

    def write(name: str, body: str) -> type:
        text = f"""
        import numpy as np
        from turnkey.navigator.format import DeviceKind, Format
        from turnkey.navigator.runner import NavigatorRunner

        class {name}(NavigatorRunner):
            @classmethod
            def name(cls):
                return "{name}"

            @classmethod
            def format(cls):
                return Format.PYTHON

            @classmethod
            def devices_kind(cls):
                return [DeviceKind.CPU]
        """
        source = textwrap.dedent(text) + textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / f"{name.lower()}_runner.py").write_text(source)
        cls: type = getattr(__import__(f"{name.lower()}_runner"), name)
        nav.register_runner(cls)
        names.append(name)
        return cls

    yield write
    for name in names:
        remove_kind(name)
        sys.modules.pop(f"{name.lower()}_runner", None)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Conversions and comparisons in this process: for tests that are not about the worker, which is slow to start."""
    monkeypatch.setenv("TURNKEY_MULTIPROCESSING", "0")
