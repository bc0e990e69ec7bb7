"""Completion: candidates from the same tables that the splitter reads, and scripts that the shells accept."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turnkey.cli.catalogue import grammar
from turnkey.cli.completion import FILES, SCRIPTS, answer
from turnkey.cli.main import main


def candidates(line: str) -> list[str]:
    return answer(line.split(" "), grammar())


def test_a_command_begins_with_inputs_options_or_tools() -> None:
    found = candidates("")
    assert found[0] == FILES
    assert {"--cache-dir", "discover", "version", "completion"} <= set(found)
    assert "--use-slurm" in found


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dis", ["discover"]),
        ("--lean", ["--lean-cache"]),
        ("a.py discover --max", ["--max-depth"]),
        ("a.py discover --max-depth 1 load", ["load-onnx", "load-build"]),
        ("a.py discover export-pytorch --exporter dy", ["dynamo"]),
        ("a.py discover export-pytorch --exporter=dy", ["--exporter=dynamo"]),
        ("a.py discover export-pytorch --exporter = dy", ["dynamo"]),
        ("a.py discover export-pytorch --exporter =", ["auto", "dynamo", "torchscript", "fast"]),
        ("completion ", ["bash", "zsh", "fish"]),
        ("completion f", ["fish"]),
        ("-d ", [FILES]),
        ("--gen-script ", [FILES]),
        ("--nonsense a", []),
        ("-i a.py discover --opset 1", []),
    ],
)
def test_each_place_offers_what_can_stand_there(line: str, expected: list[str]) -> None:
    found = candidates(line)
    assert found == expected or (line.endswith(("lean", "load", "dis")) and set(expected) <= set(found))


def test_after_the_values_of_an_option_that_takes_many_a_tool_may_follow() -> None:
    found = candidates("-i a.py ")
    assert FILES in found
    assert "discover" in found
    assert candidates("-i ") == [FILES]


@pytest.mark.parametrize("shell", sorted(SCRIPTS))
def test_each_shell_accepts_its_script(
    shell: str, capsys: pytest.CaptureFixture[str], need: Callable[..., None]
) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert "completion-answer" in script
    need(shell)
    subprocess.run([shell, "-n", "/dev/stdin"], input=script, text=True, check=True)


BASH = (
    'eval "$(turnkey completion bash)"; COMP_WORDS=({typed}); COMP_CWORD={last}; _turnkey; '
    'printf "%s\\n" "${{COMPREPLY[@]}}"'
)
FISH = "turnkey completion fish | source; complete -C 'turnkey {line}'"


@pytest.mark.parametrize(
    ("shell", "script"),
    [
        pytest.param("bash", BASH, marks=pytest.mark.needs("bash")),
        pytest.param("fish", FISH, marks=pytest.mark.needs("fish")),
    ],
)
def test_a_shell_completes_tools_options_values_and_files(shell: str, script: str, tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text("")
    (tmp_path / "turnkey").write_text(f'#!/bin/sh\nexec {sys.executable} -m turnkey.cli.main "$@"\n')
    (tmp_path / "turnkey").chmod(0o755)
    variables = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    def completed(line: str) -> list[str]:
        words = line.split(" ")
        text = script.format(line=line, typed=" ".join(f"'{word}'" for word in ["turnkey", *words]), last=len(words))
        done = subprocess.run(
            [shell, "-c", text], capture_output=True, text=True, check=True, cwd=tmp_path, env=variables
        )
        return done.stdout.split()

    assert completed("disc") == ["discover"]
    assert completed("-i mod") == ["model.py"]
    assert completed("model.py discover --max") == ["--max-depth"]
