"""The command as a user meets it: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest

from turnkey.cli.main import main
from turnkey.tools.load_onnx import LoadOnnx

pytestmark = pytest.mark.usefixtures("workplace")


def run(line: str, capfd: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(line.split())
    captured = capfd.readouterr()
    return code, captured.out, captured.err


def document(line: str, capfd: pytest.CaptureFixture[str]) -> dict[str, Any]:
    code, out, _ = run(line, capfd)
    fields: dict[str, Any] = json.loads(out)
    assert fields["exit_code"] == code
    assert list(fields)[:7] == [
        "schema_version",
        "turnkey_version",
        "exit_code",
        "error",
        "notes",
        "results",
        "tools",
    ]
    return fields


def test_results_go_to_the_output_and_progress_to_the_error_stream(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run("m.onnx n.onnx load-onnx", capfd)
    assert code == 0
    assert out.splitlines()[0].split() == ["input", "status", "hash", "result", "build", "directory"]
    assert out.splitlines()[1].startswith("m.onnx  successful")
    assert out.splitlines()[-1] == "2 inputs: 2 successful"
    assert "m: load-onnx successful" in err
    assert "\x1b" not in out + err


def test_one_failing_input_does_not_stop_the_others_and_its_error_stands_under_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = run("bad.onnx m.onnx load-onnx", capfd)
    assert code == 1
    lines = out.splitlines()
    assert lines[1].startswith("bad.onnx  error")
    assert lines[2].startswith("  bad input: ")
    assert any(line.startswith("m.onnx    successful") for line in lines)
    assert lines[-1] == "2 inputs: 1 error, 1 successful"


@pytest.mark.parametrize(("inputs", "code"), [("m.onnx", 0), ("bad.onnx m.onnx", 1)], ids=["successful", "one failed"])
def test_the_exit_code_is_the_same_in_processes_of_their_own(
    inputs: str, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for mode in ("", " --process-isolation --timeout 100"):
        assert main(f"-i {inputs}{mode} load-onnx".split()) == code
        assert f"{code} error" in capfd.readouterr().out or code == 0


def test_fail_fast_leaves_the_rest_not_started(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run("bad.onnx m.onnx --fail-fast load-onnx", capfd)
    assert code == 1
    assert "m.onnx    not_started" in out


def test_the_json_document_has_results_errors_and_statistics(capfd: pytest.CaptureFixture[str]) -> None:
    fields = document("bad.onnx m.onnx --json load-onnx", capfd)
    bad, good = fields["results"]
    assert (bad["status"], bad["tool"], bad["error"]["type"]) == ("error", "load-onnx", "bad input")
    assert bad["error"]["remedy"]
    assert good["status"] == "successful"
    assert good["statistics"]["hash"] == good["hash"]
    assert Path(good["build_dir"]).is_dir()


def test_a_usage_error_is_a_json_document_too(capfd: pytest.CaptureFixture[str]) -> None:
    fields = document("--json missing.onnx load-onnx", capfd)
    assert fields["exit_code"] == 2
    assert fields["error"]["type"] == "usage error"


def test_management_tools_answer_in_one_json_document(capfd: pytest.CaptureFixture[str]) -> None:
    fields = document("--json version cache version", capfd)
    assert list(fields["tools"]) == ["version", "cache", "version-2"]
    assert fields["tools"]["cache"]["builds"] == []


def test_a_closing_tool_sees_only_the_builds_of_this_call(capfd: pytest.CaptureFixture[str], workplace: Path) -> None:
    assert main(["m.onnx", "load-onnx"]) == 0
    assert main(["n.onnx", "load-onnx", "report", "-o", str(workplace / "out")]) == 0
    capfd.readouterr()
    table = next((workplace / "out").glob("????-??-??.csv")).read_text()
    assert [line.split(",")[0] for line in table.splitlines()] == ["build_name", "n"]


def test_a_closing_tool_finds_builds_that_lie_in_other_caches(workplace: Path) -> None:
    assert main(["m.onnx", "-d", "first", "load-onnx"]) == 0
    assert main(["n.onnx", "-d", "second", "load-onnx"]) == 0
    states = ["first/m/m_state.yaml", "second/n/n_state.yaml"]
    assert main(["-i", *states, "load-build", "optimize-ort", "report", "-o", "out"]) == 0
    table = next((workplace / "out").glob("????-??-??.csv")).read_text()
    assert [line.split(",")[0] for line in table.splitlines()] == ["build_name", "m", "n"]


def test_default_sequences_are_announced_first(capfd: pytest.CaptureFixture[str]) -> None:
    _, _, err = run("bad.onnx", capfd)
    assert err.splitlines()[0] == "no tool named; each ONNX file goes through: load-onnx verify benchmark"


def test_a_dry_run_changes_nothing_and_says_what_would_run(capfd: pytest.CaptureFixture[str], workplace: Path) -> None:
    code, out, _ = run("m.onnx --dry-run discover verify report", capfd)
    assert code == 0
    assert "m.onnx -> m (no estimate)" in out
    assert "load-onnx" in out
    assert "at the end: turnkey report" in out
    assert not (workplace / "cache").exists()
    main(["m.onnx", "load-onnx"])
    capfd.readouterr()
    entry = document("m.onnx --dry-run --json load-onnx", capfd)["dry_run"][0]
    assert entry["build_name"] == "m"
    assert entry["estimate_seconds"] is not None


def test_a_dry_run_of_a_management_tool_runs_nothing_either(
    capfd: pytest.CaptureFixture[str], workplace: Path
) -> None:
    assert main(["m.onnx", "load-onnx"]) == 0
    capfd.readouterr()
    code, out, _ = run("--dry-run cache --delete --all", capfd)
    assert code == 0
    assert out == "nothing was run\nturnkey cache --all --delete\n"
    assert (workplace / "cache" / "m" / "m_state.yaml").exists()


def test_a_generated_script_makes_the_same_build(capfd: pytest.CaptureFixture[str], workplace: Path) -> None:
    assert document("--json m.onnx --gen-script other.py load-onnx", capfd)["notes"] == ["wrote other.py"]
    assert main(["m.onnx", "--gen-script", "same.py", "load-onnx", "optimize-ort", "--level", "basic", "report"]) == 0
    assert not (workplace / "cache").exists()
    done = subprocess.run([sys.executable, "same.py"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    generated = document("--json cache --stats", capfd)["tools"]["cache"]["builds"]["m"]
    main(["m.onnx", "-d", "again", "load-onnx", "optimize-ort"])
    capfd.readouterr()
    direct = document("--json -d again cache --stats", capfd)["tools"]["cache"]["builds"]["m"]
    changing = ("tool_duration", "tool_peak_memory", "timestamp")
    assert {key: value for key, value in generated.items() if not key.startswith(changing)} == {
        key: value for key, value in direct.items() if not key.startswith(changing)
    }
    assert list(workplace.glob("????-??-??.csv"))


def test_a_generated_script_never_replaces_a_file(capfd: pytest.CaptureFixture[str], workplace: Path) -> None:
    (workplace / "mine.py").write_text("mine")
    code, _, err = run("m.onnx --gen-script mine.py load-onnx", capfd)
    assert code == 2
    assert "mine.py exists already" in err
    assert (workplace / "mine.py").read_text() == "mine"


@pytest.mark.parametrize(
    ("mode", "expected", "absent"),
    [
        (None, ["load-onnx ended with ZeroDivisionError", "ZeroDivisionError: of a library"], ["/turnkey/pipeline/"]),
        ("False", ["Status: Unknown turnkey error: of a library"], ["Traceback"]),
        ("True", ["ZeroDivisionError: of a library", "/turnkey/pipeline/"], []),
    ],
)
def test_the_traceback_variable_says_how_much_is_shown(
    mode: str | None,
    expected: list[str],
    absent: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError("of a library")

    monkeypatch.setattr(LoadOnnx, "run", broken)
    if mode is not None:
        monkeypatch.setenv("TURNKEY_TRACEBACK", mode)
    code, out, _ = run("m.onnx load-onnx", capfd)
    assert code == 1
    assert all(part in out for part in expected), out
    assert not any(part in out for part in absent), out


@pytest.mark.parametrize(("mode", "shown"), [(None, False), ("False", False), ("True", True)])
def test_a_usage_error_has_a_traceback_only_where_everything_is_wanted(
    mode: str | None, shown: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if mode is not None:
        monkeypatch.setenv("TURNKEY_TRACEBACK", mode)
    code, _, err = run("missing.onnx load-onnx", capfd)
    assert code == 2
    assert ("Traceback" in err) is shown
    assert "there is no file missing.onnx" in err


def test_what_escapes_is_called_a_defect_of_turnkey(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise RuntimeError("impossible")

    monkeypatch.setattr("turnkey.cli.splitter.split", broken)
    code, _, err = run("version", capfd)
    assert code == 1
    assert "defect of Turnkey" in err
    fields = document("--json version", capfd)
    assert fields["error"]["evidence"] == "RuntimeError: impossible"
    monkeypatch.setenv("TURNKEY_TRACEBACK", "False")
    assert run("version", capfd)[2] == "Status: Unknown turnkey error: impossible\n"


def test_a_terminal_gets_a_live_monitor_and_the_variable_switches_it_off(
    on_terminal: Callable[..., tuple[int, str]],
) -> None:
    code, live = on_terminal("m.onnx", "load-onnx", columns=0)
    assert code == 0
    assert "\x1b[" in live
    assert "✓ load-onnx" in live
    code, plain = on_terminal("m.onnx", "load-onnx", TURNKEY_BUILD_MONITOR="No")
    assert code == 0
    assert "\x1b" not in plain
    assert "m: load-onnx successful" in plain


@pytest.mark.slow
def test_a_real_measurement_is_drawn_before_it_begins_and_when_it_says_where_it_is(
    on_terminal: Callable[..., tuple[int, str]],
) -> None:
    code, written = on_terminal("m.onnx", "load-onnx", "benchmark", "--effort", "quick", "--iterations", "200")
    assert code == 0
    assert 2 <= written.count("▸ benchmark") <= 8  # each twice where something else was printed at that moment
    assert "▸ benchmark     0.0 s" in written
    assert "round 1 of 1" in written
    assert "✓ benchmark" in written


def test_the_picture_fits_a_narrow_terminal_although_tools_write_into_logs(
    on_terminal: Callable[..., tuple[int, str]],
) -> None:
    _, written = on_terminal("m.onnx", "load-onnx", "optimize-ort", columns=30)
    drawn = [part for part in re.split(r"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", written.split("input  ")[0]) if part]
    assert drawn
    assert max(len(part) for part in drawn) <= 30, drawn


def test_the_table_of_inputs_is_folded_to_the_terminal(on_terminal: Callable[..., tuple[int, str]]) -> None:
    _, written = on_terminal("m.onnx", "n.onnx", "load-onnx", columns=60, TURNKEY_BUILD_MONITOR="no")
    headings, first, directory, *_ = ("input  " + written.partition("input  ")[2]).splitlines()
    assert headings.split()[:4] == ["input", "status", "hash", "result"]
    assert first.split()[:2] == ["m.onnx", "successful"]
    assert directory.startswith("    /")  # a path may be longer than the terminal


def test_without_a_descriptor_of_its_own_the_error_stream_gets_plain_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["m.onnx", "load-onnx"]) == 0
    assert "m: load-onnx successful" in capsys.readouterr().err


def test_a_name_that_the_output_cannot_encode_is_no_failure(workplace: Path) -> None:
    (workplace / "m.onnx").rename(workplace / "grün.onnx")
    command = [sys.executable, "-m", "turnkey.cli.main", "grün.onnx", "load-onnx"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "gr\\xfcn.onnx  successful" in done.stdout


@pytest.mark.parametrize("word", ["-h", "version"], ids=["more than a buffer", "less than a buffer"])
def test_a_reader_that_leaves_early_is_no_error(word: str) -> None:
    command = [sys.executable, "-m", "turnkey.cli.main", word]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=buffered)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (err, process.returncode) == ("", 1)


def test_an_output_that_cannot_be_written_is_said() -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "turnkey.cli.main", "version"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "the output cannot be written: No space left on device\n")


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, ""), (signal.SIGTERM, 143, "terminated: this process was told to end")],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_a_signal_shows_what_is_finished_and_has_its_exit_code(
    workplace: Path, number: signal.Signals, code: int, said: str
) -> None:
    (workplace / "slow.py").write_text("import time\nopen('started', 'w').close()\ntime.sleep(600)\n")
    command = [sys.executable, "-m", "turnkey.cli.main", "-i", "m.onnx", "slow.py", "discover"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (workplace / "started").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert said in err
    assert "m.onnx   successful" in out
    assert "slow.py  killed" in out
    assert "--resume continues it" in out
    assert str(workplace / "cache" / "slow") in out


def test_labels_select_among_onnx_files_and_builds(capfd: pytest.CaptureFixture[str], workplace: Path) -> None:
    model = onnx.load("n.onnx")
    onnx.helper.set_model_props(model, {"turnkey_labels": "task::negation"})
    onnx.save(model, "n.onnx")
    assert main(["m.onnx", "n.onnx", "load-onnx"]) == 0
    capfd.readouterr()
    fields = document("--json m.onnx n.onnx --labels task::negation load-onnx", capfd)
    assert [result["input"] for result in fields["results"]] == ["n.onnx"]
    assert fields["notes"].count("1 of 2 inputs have task::negation") == 1
    builds = "cache/m/m_state.yaml cache/n/n_state.yaml"
    fields = document(f"--json -i {builds} --labels task::negation load-build optimize-ort", capfd)
    assert [result["build_name"] for result in fields["results"]] == ["n"]


def test_a_build_whose_state_is_corrupt_has_no_labels_and_fails_alone(
    capfd: pytest.CaptureFixture[str], workplace: Path
) -> None:
    assert main(["m.onnx", "load-onnx"]) == 0
    state = workplace / "cache" / "m" / "m_state.yaml"
    state.write_text(state.read_text() + "surprise: 1\n")
    capfd.readouterr()
    fields = document(f"--json -i {state} --labels task::negation load-build optimize-ort", capfd)
    assert fields["error"]["what"] == "no input has the requested labels"
    fields = document(f"--json -i {state} n.onnx discover optimize-ort", capfd)
    assert [result["status"] for result in fields["results"]] == ["error", "successful"]
    assert fields["results"][0]["error"]["type"] == "corrupt or hostile artifact"


def test_a_second_tool_of_one_name_has_its_own_log_and_keys(
    capfd: pytest.CaptureFixture[str], workplace: Path
) -> None:
    fields = document("--json m.onnx load-onnx optimize-ort optimize-ort --level all", capfd)
    statistics = fields["results"][0]["statistics"]
    assert statistics["tool_status:optimize-ort"] == "successful"
    assert statistics["tool_status:optimize-ort-2"] == "successful"
    assert (workplace / "cache" / "m" / "log_optimize-ort-2.txt").is_file()


def test_a_cache_with_spaces_and_words_that_equal_tools_work(
    capfd: pytest.CaptureFixture[str], workplace: Path
) -> None:
    assert main(["m.onnx", "-d", "load-onnx", "load-onnx"]) == 0
    assert (workplace / "load-onnx" / "m" / "m_state.yaml").is_file()
    assert main(["m.onnx", "-d", "my results", "load-onnx"]) == 0
    assert (workplace / "my results" / "m" / "m_state.yaml").is_file()


def test_a_bad_file_is_refused_without_waiting_for_a_measurement(
    capfd: pytest.CaptureFixture[str], workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNKEY_MACHINE_LOCK", str(workplace / "turns"))
    (workplace / "bad.py").write_text("def f(:\n")
    program = "from turnkey.pipeline.machine_turn import machine_turn\nwith machine_turn(measures=True):"
    holder = subprocess.Popen(
        [sys.executable, "-c", f"{program} print('in', flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "in\n"
    try:
        code, out, err = run("bad.onnx bad.py discover", capfd)
    finally:
        holder.communicate("", timeout=60)
    assert code == 1
    assert "waiting" not in err
    assert "bad input: " in out
    assert "SyntaxError" in out
