"""The settings file: where it is looked for, and what a mistake in it is answered with."""

from __future__ import annotations

import logging
import os
import pwd
from pathlib import Path

import pytest

from turnkey import LexerContext
from turnkey.errors import UsageError
from turnkey.lexer.settings_file import find_settings_file

NAME = ".lexer_config.toml"


def write(directory: Path, text: str, name: str = NAME) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text)
    return directory / name


def test_the_variable_wins_then_the_directories_above_then_the_home(nobody_home: Path, tmp_path: Path) -> None:
    assert find_settings_file() is None
    at_home = write(Path.home(), "")
    assert find_settings_file() == at_home
    above = write(tmp_path, "")
    (nobody_home / "a" / "b").mkdir(parents=True)
    assert find_settings_file(start=nobody_home / "a" / "b") == above
    nearer = write(nobody_home / "a", "")
    assert find_settings_file(start=nobody_home / "a" / "b") == nearer
    named = write(tmp_path / "named", "")
    assert find_settings_file(environment={"LEXER_CONFIG_PATH": str(named.parent)}) == named
    assert find_settings_file(environment={"LEXER_CONFIG_PATH": str(named)}) == named
    assert find_settings_file(environment={"LEXER_CONFIG_PATH": str(tmp_path / "nowhere")}) is None


def test_who_has_no_home_has_the_shipped_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(number: int) -> object:
        raise KeyError(number)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert find_settings_file() is None


def test_the_variable_is_read_when_a_context_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """LD15: the original read it at import."""
    write(tmp_path / "one", "[benchmarks]\nnum_iterations = 1\n")
    write(tmp_path / "two", "[benchmarks]\nnum_iterations = 2\n")
    found = []
    for name in ("one", "two"):
        monkeypatch.setenv("LEXER_CONFIG_PATH", str(tmp_path / name))
        found.append(LexerContext().settings.num_iterations)

    assert found == [1, 2]


def test_all_tables_are_read_and_an_absent_file_is_one_line_of_the_log(
    nobody_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "turnkey.lexer"):
        assert LexerContext().settings.batch_size is None
    assert len(caplog.records) == 1

    write(
        nobody_home,
        "[exports]\nbatch_size = 4\nopset = 18\n[benchmarks]\nenable_pytorch = false\n"
        "[outputs]\nenable_stdout = false\n[outputs.tags]\nteam = 'vision'\n",
    )
    settings = LexerContext().settings

    assert (settings.batch_size, settings.opset, settings.enable_pytorch, settings.enable_stdout) == (
        4,
        18,
        False,
        False,
    )
    assert settings.tags == {"team": "vision"}


def test_a_project_may_hold_settings_too_and_wins_over_the_users_file(nobody_home: Path) -> None:
    write(nobody_home, "[exports]\nbatch_size = 4\n[benchmarks]\nseed = 3\n")
    write(
        nobody_home,
        "[project]\nname = 'x'\n[tool.turnkey.lexer]\nopset = 18\n[tool.turnkey.lexer.exports]\nbatch_size = 8\n",
        "pyproject.toml",
    )
    settings = LexerContext().settings

    assert (settings.batch_size, settings.seed, settings.opset) == (8, 3, 18)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[exports]\n\nbatch_siz = 4\n", 3, "did you mean batch_size"),
        ("[benchmarks]\nnum_iterations = 'many'\n", 2, "num_iterations must be a whole number"),
        ("[exports]\nbatch_size = 1\n[benchmark]\n", 3, "did you mean benchmarks"),
        ("# c\n[exports]\nnum_iterations = 4\n", 3, "belongs into another table"),
        ("batch_size = 4\n", 1, "not where it belongs"),
        ("[exports]\nbatch_size = \n", 2, "is not a TOML file"),
        ("[outputs]\nenable_csv = 1\n", 2, "enable_csv must be true or false"),
        ("[exports]\ninput_names = ['x']\n", 2, "there is no setting"),
    ],
)
def test_a_mistake_is_answered_with_file_and_line(nobody_home: Path, text: str, line: int, words: str) -> None:
    path = write(nobody_home, text)

    with pytest.raises(UsageError, match=words) as caught:
        LexerContext()
    assert f"{path}:{line}" in caught.value.evidence


def test_a_mistake_in_a_project_is_answered_with_its_line(nobody_home: Path) -> None:
    path = write(nobody_home, "[project]\nname = 'x'\n[tool.turnkey.lexer]\nopste = 18\n", "pyproject.toml")

    with pytest.raises(UsageError, match="did you mean opset") as caught:
        LexerContext()
    assert f"{path}:4" in caught.value.evidence


def test_a_context_can_be_told_its_settings(tmp_path: Path) -> None:
    path = write(tmp_path / "elsewhere", "[benchmarks]\nnum_iterations = 3\n", "mine.toml")

    assert LexerContext(config=path).settings.num_iterations == 3
    assert LexerContext(config={"num_iterations": 4}).settings.num_iterations == 4
    with pytest.raises(UsageError, match="there is no settings file"):
        LexerContext(config=tmp_path / "nowhere")
    assert "LEXER_CONFIG_PATH" not in os.environ
