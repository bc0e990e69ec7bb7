"""How much a run tells, and where."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.errors import UsageError
from turnkey.navigator.progress import Progress


@pytest.mark.parametrize(
    ("environment", "verbose", "shown"),
    [
        ({}, False, "failed\nstep\n"),
        ({}, True, "failed\nstep\nmeasuring\n"),
        ({"TURNKEY_LOG_LEVEL": "warning"}, False, "failed\n"),
        ({"TURNKEY_LOG_LEVEL": "DEBUG"}, False, "failed\nstep\nmeasuring\n"),
        ({"TURNKEY_CONSOLE_OUTPUT": "0"}, True, ""),
    ],
)
def test_the_caller_and_the_environment_say_how_much_the_terminal_gets_and_the_log_gets_all(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    verbose: bool,
    shown: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    progress = Progress(tmp_path / "navigator.log", verbose=verbose)
    progress.warn("failed")
    progress.step("step")
    progress.detail("measuring")
    assert capsys.readouterr() == ("", shown)
    assert (tmp_path / "navigator.log").read_text() == "failed\nstep\nmeasuring\n"


def test_a_level_that_does_not_exist_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNKEY_LOG_LEVEL", "loud")
    with pytest.raises(UsageError, match="TURNKEY_LOG_LEVEL"):
        Progress(tmp_path / "log")
