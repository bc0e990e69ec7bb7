"""version, models-location and system-info."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from turnkey import plugins
from turnkey.cli.main import main
from turnkey.version import __version__


def test_version_prints_the_version_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


def test_models_location_is_a_directory_with_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models-location", "--quiet"]) == 0
    path = Path(capsys.readouterr().out.strip())
    assert (path / "selftest" / "linear.py").is_file()
    assert main(["models-location"]) == 0
    assert str(path) in capsys.readouterr().out
    assert main(["--json", "models-location"]) == 0
    assert json.loads(capsys.readouterr().out)["tools"]["models-location"] == {"models": str(path)}


def test_system_info_starts_no_process_and_has_a_stable_schema(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    assert main(["system-info", "--json"]) == 0
    fields = json.loads(capsys.readouterr().out)
    assert set(fields) == {"turnkey_version", "system", "formats", "runtimes"}
    assert {"os", "processor", "physical_cores", "cpu_quota", "fair_threads", "memory_bytes", "gpus"} <= set(
        fields["system"]
    )
    for entry in [*fields["formats"], *fields["runtimes"]]:
        assert set(entry) == {"name", "usable", "lacks", "reason", "install"}
    assert {"torch", "torch-compile", "onnxruntime"} <= {entry["name"] for entry in fields["runtimes"]}


def test_what_is_missing_or_broken_is_one_line_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "extra_runtimes.py").write_text(
        "class Hexagon:\n    name = 'hexagon'\n    requires = ('hexagon_sdk',)\n    install = 'pip install hexagon'\n"
        "HEXAGON = Hexagon()\n"
    )
    metadata = tmp_path / "extra_runtimes-1.0.dist-info"
    metadata.mkdir()
    (metadata / "entry_points.txt").write_text(
        "[turnkey.runtimes]\nhexagon = extra_runtimes:HEXAGON\nlost = extra_runtimes:LOST\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    plugins._entry_points.cache_clear()
    assert main(["system-info"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "not hexagon: needs hexagon_sdk: pip install hexagon" in lines
    assert len([line for line in lines if line.startswith("not lost: broken: ")]) == 1
