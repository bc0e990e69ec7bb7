"""Everything about a command is checked before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.cli.catalogue import grammar
from turnkey.cli.command import Command, check
from turnkey.cli.main import main
from turnkey.cli.splitter import split
from turnkey.errors import UsageError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ["a.py", "b.py", "m.onnx", "b_state.yaml"]:
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNKEY_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def checked(line: str) -> Command:
    known = grammar()
    return check(split(line.split(), known), known)


def tools(line: str) -> list[str]:
    work = checked(line).work
    assert work is not None
    assert work.sequence is not None
    return list(work.sequence.names)


def test_the_sequence_holds_the_tools_in_order_with_their_arguments() -> None:
    work = checked("-i a.py --lean-cache discover --max-depth 1 export-pytorch --opset 18").work
    assert work is not None
    assert work.options.lean_cache
    assert work.sequence is not None
    (first, depth), (second, export) = work.sequence.steps
    assert (first, depth["max_depth"]) == ("discover", 1)
    assert (second, export["opset"]) == ("export-pytorch", 18)


def test_the_same_tool_may_stand_twice() -> None:
    assert tools("a.py discover benchmark --runtime torch benchmark") == ["discover", "benchmark", "benchmark-2"]


def test_inputs_alone_have_no_sequence_and_the_first_note_says_what_runs() -> None:
    work = checked("a.py m.onnx").work
    assert work is not None
    assert work.sequence is None
    assert work.notes[0] == "no tool named; each script goes through: discover export-pytorch verify benchmark"
    assert "load-onnx verify benchmark" in work.notes[1]


def test_a_closing_tool_ends_a_sequence_and_stands_alone_too() -> None:
    command = checked("a.py discover report")
    assert command.work is not None
    assert [step.tool.name for step in command.management] == ["report"]
    assert checked("report").work is None
    assert [step.tool.name for step in checked("a.py report").management] == ["report"]


def test_several_management_tools_stand_in_one_call() -> None:
    assert [step.tool.name for step in checked("version system-info version").management] == [
        "version",
        "system-info",
        "version",
    ]


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("-i missing.py discover", ["there is no file missing.py"]),
        ("-i missing.py::12345678 discover", ["there is no file missing.py"]),
        ("-i a.py discvr", ["'discvr' is neither a file nor a tool", "did you mean the tool discover?"]),
        ("-i a.py export-pytorch", ["cannot start a sequence", "turnkey -i a.py discover export-pytorch"]),
        ("-i m.onnx verify", ["cannot start a sequence", "turnkey -i m.onnx load-onnx verify"]),
        ("-i a.py verify discover", ["discover starts a sequence", "turnkey -i a.py discover verify"]),
        ("-i a.py discover report verify", ["must come last", "turnkey -i a.py discover verify report"]),
        ("-i a.py discover load-onnx", ["both start a sequence"]),
        ("-i a.py load-onnx", ["load-onnx", "discover"]),
        ("-i a.py discover version", ["version is a management tool", "turnkey version"]),
        ("-i a.py cache", ["cache is a management tool"]),
        ("discover", ["discover needs an input", "turnkey -i INPUT discover"]),
        ("--json", ["no input and no tool"]),
        ("-i a.py --timeout 3 discover", ["--timeout needs", "--process-isolation", "--use-slurm"]),
        ("-i a.py --memory-limit 1GiB discover", ["--memory-limit needs", "--process-isolation"]),
        ("-i a.py --timeout nan --process-isolation discover", ["'nan' is not a value of --timeout", "finite"]),
        ("-i a.py --process-isolation --use-slurm discover", ["exclude each other"]),
        ("-i a.py --use-slurm --jobs 4 discover", ["--jobs is for this machine", "array_parallelism=4"]),
        ("-i a.py --slurm partition=x discover", ["--slurm is about Slurm jobs", "--use-slurm"]),
        ("-i a.py --no-wait discover", ["--no-wait is about Slurm jobs"]),
        ("-i a.py --shard 3/2 discover", ["'3/2' is not a value of --shard", "I/N"]),
        ("-i a.py --retry everything discover", ["'everything'", "failed, timeout"]),
        ("-i a.py --disk-limit 1GiB discover", ["--disk-limit needs", "--process-isolation"]),
        ("-i a.py --labels task discover", ["'task' is not KEY::VALUE"]),
        ("-i a.py --labels task::x discover", ["no input has the requested labels"]),
        ("-i a.py discover --max-depth deep", ["'deep' is not a value of discover --max-depth"]),
        ("-i a.py discover export-pytorch --exporter dynmo", ["'dynmo'", "did you mean dynamo?"]),
        ("-q -v -i a.py discover", ["--quiet and --verbose exclude each other"]),
        ("completion", ["completion needs", "bash|zsh|fish"]),
        ("lexer show", ["lexer needs FILE", "turnkey lexer show FILE"]),
        ("-i a.py discover convert --to torchscript,onnxx", ["no format called 'onnxx'", "did you mean onnx or "]),
        (
            "-i a.py discover benchmark --runtimes onnxruntim",
            ["'onnxruntim' is not a value", "did you mean onnxruntime?"],
        ),
        ("-i a.py discover convert --to zzz", ["no format called 'zzz'", "turnkey convert -h"]),
        ("completion tcsh", ["'tcsh' is not a value of completion", "bash, zsh, fish"]),
    ],
)
def test_a_wrong_command_says_what_to_do_instead(line: str, parts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        checked(line)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "line", ["-i a.py missing.py discover", "-i a.py discover --x", "a.py verify", "cache --delete"]
)
def test_a_wrong_command_exits_with_2_and_leaves_the_cache_as_it_is(
    line: str, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("usage error: ")
    assert not (directory / "cache").exists()


@pytest.mark.parametrize(
    ("variable", "line", "fails"),
    [
        ("TURNKEY_ONNX_OPSET", "-i a.py discover export-pytorch", True),
        ("TURNKEY_ONNX_OPSET", "-i a.py discover", False),
        ("TURNKEY_ONNX_OPSET", "-i a.py discover export-pytorch --opset 18", False),
        ("TURNKEY_TIMEOUT_SECONDS", "-i a.py discover", False),
        ("TURNKEY_TIMEOUT_SECONDS", "-i a.py --process-isolation discover", True),
        ("TURNKEY_TIMEOUT_SECONDS", "-i a.py --process-isolation --timeout 5 discover", False),
    ],
)
def test_a_bad_variable_fails_only_the_command_that_needs_it(
    variable: str, line: str, fails: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "many")
    if fails:
        with pytest.raises(UsageError, match=variable):
            checked(line)
    else:
        checked(line)


def test_the_cache_directory_is_the_argument_else_the_variable_else_the_default(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cache(line: str) -> str:
        work = checked(line).work
        assert work is not None
        return str(work.options.cache_dir)

    monkeypatch.setenv("HOME", str(directory))
    assert cache("a.py discover") == str(directory / "cache")
    assert cache("a.py -d other discover") == str(directory / "other")
    assert cache("a.py -d ~/my_cache discover") == str(directory / "my_cache")
    monkeypatch.setenv("TURNKEY_CACHE_DIR", "~/by variable")
    assert cache("a.py discover") == str(directory / "by variable")
    monkeypatch.delenv("TURNKEY_CACHE_DIR")
    assert cache("a.py discover") == str(directory / ".cache" / "turnkey")
