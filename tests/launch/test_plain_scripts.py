"""The scripts that discovery treats as plain python does: isolated workers, forked or fresh, do the same with them."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from launch_calls import launched

from turnkey.launch import Result

from ..discovery.scripts import HEAD, PLAIN_SCRIPTS, TORCH_SCRIPTS, prepare, python

ARGUMENTS = ["--a", "b c", "--d=e"]


def file_of(name: str) -> str:
    """No name of a library's module: the scripts lie in one folder and would import each other."""
    return f"script_{name}.py"


def discovered(names: list[str], **how: Any) -> dict[str, Result]:
    """Results of ``discover`` by script, each isolated, in one call from the scripts' directory."""
    steps = [("discover", {"script_args": shlex.join(ARGUMENTS)})]
    results = launched(map(file_of, names), Path("cache"), steps, process_isolation=True, timeout=240, **how)
    return dict(zip(names, results, strict=True))


def printed(result: Result) -> bytes:
    """What the log holds after our first line."""
    assert result.build_dir is not None
    return (result.build_dir / "log_discover.txt").read_bytes().partition(b"\n")[2]


FRESH = pytest.param({"fresh": True}, marks=pytest.mark.nightly, id="fresh")


@pytest.mark.slow
@pytest.mark.parametrize("how", [pytest.param({"prewarm": 1}, id="prewarmed"), FRESH])
def test_output_exit_code_and_files_are_those_of_plain_python(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tmp_path)
    expected = {}
    for name, text in PLAIN_SCRIPTS.items():
        (tmp_path / file_of(name)).write_text(text)
        expected[name] = python(tmp_path / file_of(name), *ARGUMENTS, cwd=tmp_path)
    (tmp_path / "written.txt").unlink()

    results = discovered(list(PLAIN_SCRIPTS), **how)

    different = {
        name: (output, printed(results[name]))
        for name, (output, code) in expected.items()
        if output not in printed(results[name]) or results[name].status != ("error" if code else "skipped")
    }
    assert different == {}
    assert (tmp_path / "written.txt").read_text() == "content"


@pytest.mark.nightly
@pytest.mark.parametrize("how", [pytest.param({"prewarm": 1}, id="prewarmed"), FRESH])
def test_what_a_script_does_with_torch_is_bit_for_bit_the_same(
    how: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONWARNINGS", "ignore")
    expected = {}
    for name, text in TORCH_SCRIPTS.items():
        path = tmp_path / file_of(name)
        path.write_text(HEAD + textwrap.dedent(text))
        done = subprocess.run([sys.executable, path.name], env=os.environ, capture_output=True, check=True)
        expected[name] = done.stdout

    results = discovered(list(TORCH_SCRIPTS), **how)

    for name, output in expected.items():
        assert results[name].status == "successful", results[name].error
        assert output in printed(results[name]), name
