"""The Python door: light to import, and equal to the command line."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import turnkey
import turnkey.tools
from turnkey.pipeline.tool import Tool
from turnkey.pipeline.toolbox import TOOLS

pytestmark = pytest.mark.usefixtures("small_tools")

VOLATILE = ("tool_duration:", "tool_peak_memory:", "timestamp", "system_info")


def contents(build: Path) -> dict[str, Any]:
    """All files of a build, without what differs from run to run."""
    found: dict[str, Any] = {}
    for file in sorted(build.rglob("*")):
        if not file.is_file():
            continue
        name = file.relative_to(build).as_posix()
        found[name] = yaml.safe_load(file.read_text()) if file.suffix == ".yaml" else file.read_bytes()
    statistics = found["turnkey_stats.yaml"]
    found["turnkey_stats.yaml"] = {key: statistics[key] for key in statistics if not key.startswith(VOLATILE)}
    state = found[f"{build.name}_state.yaml"]
    state.pop("uid")
    state["history"] = [{**entry, "time": None} for entry in state["history"]]
    return found


def test_every_public_name_is_there() -> None:
    assert all(getattr(turnkey, name) is not None for name in turnkey.__all__)
    assert set(turnkey.__all__) <= set(dir(turnkey))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        turnkey.nonsense  # noqa: B018


def test_rooms_are_reached_without_an_import_of_their_own() -> None:
    program = """
        import turnkey
        turnkey.report.get_dict, turnkey.tools.Discover
        print(turnkey.parser.parse(["batch_size"]))
        """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert output.strip() == "1"


def test_importing_the_package_imports_nothing_of_it() -> None:
    program = "import sys, turnkey; print(sorted(name for name in sys.modules if name.startswith('turnkey')))"
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert output.strip() == "['turnkey', 'turnkey.version']"


def test_every_built_in_tool_is_a_class_with_its_help_as_docstring() -> None:
    classes = [getattr(turnkey.tools, name) for name in turnkey.tools.__all__]

    assert sorted(tool.name for tool in classes) == sorted(TOOLS.builtin)
    assert all(issubclass(tool, Tool) and tool.__doc__ for tool in classes)


@pytest.mark.parametrize("isolation", [False, True])
def test_evaluate_files_leaves_what_the_command_leaves(
    isolation: bool, script: Callable[..., Path], cache: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = script("#labels task::a\nprint('out')\nstatistics = {'n': arguments['script_args']}", "a b.py")
    other = tmp_path / "other"
    words = ["-i", str(path), "-d", str(other), *(["--process-isolation"] if isolation else [])]
    words += ["obey", "--script-args", "--x 'y z'", "store", "--text", "t", "pass-over", "store"]

    (result,) = turnkey.evaluate_files(
        [path],
        [("obey", {"script_args": "--x 'y z'"}), ("store", {"text": "t"}), "pass-over", "store"],
        cache,
        process_isolation=isolation,
    )
    assert turnkey.turnkeycli(words) == turnkey.exit_code([result]) == 0

    assert result.build_dir is not None
    assert contents(other / "a_b") == contents(result.build_dir)


OUTCOMES = {
    "successful": ("", "successful", 0),
    "error": ("1 / 0", "error", 1),
    "exit": ("raise SystemExit(3)", "error", 1),
    "skipped": ("from turnkey.pipeline.tool import ToolSkipped\nraise ToolSkipped('no model')", "skipped", 0),
}


@pytest.mark.parametrize("isolation", [False, True])
@pytest.mark.parametrize("outcome", OUTCOMES)
def test_statuses_and_codes_are_the_same_in_every_mode(
    outcome: str, isolation: bool, script: Callable[..., Path], cache: Path
) -> None:
    text, status, code = OUTCOMES[outcome]

    results = turnkey.evaluate_files(script(text), ["obey", "store"], cache, process_isolation=isolation)

    assert [result.status for result in results] == [status]
    assert turnkey.exit_code(results) == code
    assert turnkey.load_state(cache, "model").build_status == status
