"""What a sequence leaves on disk, tool by tool, and what it tells."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from turnkey.errors import InputError, TurnkeyError, UsageError
from turnkey.pipeline.events import Event
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


def launch(steps: list[object], cache: Path, path: Path, *, name: str = "model", listen: object = None) -> State:
    first, *others = steps
    with_input = (first, {"input": str(path)}) if isinstance(first, str) else first
    state = State(cache, name, environment={"seed": 0})
    return Sequence([with_input, *others]).launch(state, listen=listen or (lambda event: None))  # type: ignore


def test_state_statistics_and_logs_are_written(script: Writer, cache: Path) -> None:
    path = script("print('hello'); statistics = {'parameters': 3}")

    state = launch(["obey", "store"], cache, path)

    build = cache / "model"
    assert sorted(entry.name for entry in build.iterdir()) == [
        ".lock",
        ".turnkeybuild",
        "log_obey.txt",
        "log_store.txt",
        "model_state.yaml",
        "onnx",
        "turnkey_stats.yaml",
    ]
    assert (cache / ".turnkeycache").exists()
    assert (build / "log_obey.txt").read_text() == "Obeying the script\nhello\n"
    statistics = yaml.safe_load((build / "turnkey_stats.yaml").read_text())
    assert statistics["build_status"] == "successful"
    assert statistics["tool_status:obey"] == "successful"
    assert statistics["tool_duration:store"] > 0
    assert statistics["tool_peak_memory:store"] > 1_000_000
    assert statistics["parameters"] == 3
    assert statistics["selected_sequence_of_tools"] == ["obey", "store"]
    assert load_state(cache, "model") == state


def test_a_tool_named_twice_has_its_own_log_and_keys(script: Writer, cache: Path) -> None:
    state = launch(["obey", ("store", {"text": "a"}), "pass-over", ("store", {"text": "b"})], cache, script())

    assert (cache / "model" / "log_store-2.txt").exists()
    assert state.statistics["tool_status:store"] == "successful"
    assert state.statistics["tool_status:store-2"] == "successful"
    assert [(tool, status) for tool, _, status in state.sequence] == [
        ("obey", "successful"),
        ("store", "successful"),
        ("pass-over", "skipped"),
        ("store", "successful"),
    ]


def test_a_failing_tool_stops_the_sequence_and_is_recorded(script: Writer, cache: Path) -> None:
    with pytest.raises(TurnkeyError, match="fail ended with RuntimeError"):
        launch(["obey", "fail", "store"], cache, script())

    state = load_state(cache, "model")
    assert state.build_status == "error"
    assert [status for _, _, status in state.sequence] == ["successful", "error", "not_started"]
    assert state.statistics["tool_status:fail"] == "error"
    assert "tool_status:store" not in state.statistics
    assert "it failed" in state.statistics["error_log"]
    assert "turnkey/pipeline" not in state.statistics["error_log"]
    log = (cache / "model" / "log_fail.txt").read_text()
    assert "about to fail" in log
    assert "Traceback" in log


def test_a_second_run_starts_with_empty_statistics_and_keeps_the_first_in_history(script: Writer, cache: Path) -> None:
    with pytest.raises(TurnkeyError):
        launch(["obey", "fail"], cache, script())

    state = launch(["obey"], cache, script())

    assert "error_log" not in state.statistics
    assert "tool_status:fail" not in state.statistics
    assert not (cache / "model" / "log_fail.txt").exists()
    (earlier,) = (cache / "model" / "history").iterdir()
    assert yaml.safe_load(earlier.read_text())["tool_status:fail"] == "error"


def test_everything_that_a_tool_and_its_children_write_goes_to_the_log(
    script: Writer, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = script(
        """
        import ctypes, os, subprocess, sys
        sys.stdout.write("python ")
        sys.stdout.flush()
        ctypes.CDLL(None).printf(b"c ")
        ctypes.CDLL(None).fflush(None)
        os.write(2, b"descriptor ")
        os.system("echo shell")
        subprocess.run([sys.executable, "-c", "import sys; sys.stderr.write('child\\\\n')"])
        ctypes.CDLL(None).printf(b"never flushed by the script\\n")
        print("bytes", repr(sys.stdin.read()), end="")
        """
    )
    launch(["obey"], cache, path)

    text = (cache / "model" / "log_obey.txt").read_text()
    assert text.startswith("Obeying the script\npython c descriptor shell\nchild\n")
    assert text.endswith("bytes ''") or text.endswith("never flushed by the script\n")
    assert "never flushed by the script" in text
    assert capfd.readouterr() == ("", "")


def test_events_tell_what_happens_in_order(script: Writer, cache: Path) -> None:
    events: list[Event] = []
    launch(["obey", "pass-over"], cache, script("listing = 'two models'"), listen=events.append)

    assert [(event.kind, event.tool or event.text, event.status) for event in events] == [
        ("tool-started", "obey", ""),
        ("listing", "two models", ""),
        ("tool-finished", "obey", "successful"),
        ("tool-started", "pass-over", ""),
        ("tool-finished", "pass-over", "skipped"),
    ]
    assert events[-1].text == "nothing to do"


def test_what_a_tool_found_is_in_its_log_once_also_where_it_fails(script: Writer, cache: Path) -> None:
    failing = """
        from turnkey.errors import InputError
        from turnkey.pipeline.state import State
        error = InputError("half of it")
        error.state = State(CACHE, "model", listing="two models")
        raise error
    """
    for text in ("listing = 'two models'\nprint('said', end='')", failing.replace("CACHE", repr(str(cache)))):
        with suppress(InputError):
            launch(["obey"], cache, script(text))

        lines = (cache / "model" / "log_obey.txt").read_text().splitlines()
        assert lines.count("two models") == 1


def test_a_first_tool_without_anything_to_do_skips_the_input(script: Writer, cache: Path) -> None:
    path = script("from turnkey.pipeline.tool import ToolSkipped\nraise ToolSkipped('no model')")

    outcome = Sequence(["obey", "store"]).run(
        State(cache, "model", environment={"seed": 0}, input={"path": str(path)}), named=str(path)
    )

    assert (outcome.status, outcome.reason) == ("skipped", "no model")
    state = load_state(cache, "model")
    assert state.build_status == "skipped"
    assert state.statistics["reason"] == "no model"
    assert state.sequence[1][2] == "not_started"


def test_ctrl_c_is_passed_on_and_the_build_says_so(script: Writer, cache: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        launch(["obey", "store"], cache, script("raise KeyboardInterrupt"))

    state = load_state(cache, "model")
    assert state.build_status == "killed"
    assert "--resume" in state.statistics["reason"]
    assert "tool_status:store" not in state.statistics


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([], "at least one tool"),
        (["no-such-tool"], "no tool called"),
        (["store", "obey"], "must come first"),
        (["obey", "version"], "management tool"),
        ([("obey", {"nonsense": 1})], "no argument 'nonsense'"),
    ],
)
def test_a_wrong_sequence_is_refused_before_anything_runs(steps: list[object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Sequence(steps)  # type: ignore[arg-type]


def test_sequences_are_equal_by_their_effective_arguments() -> None:
    assert Sequence(["obey", "store"]) == Sequence([("obey", {}), ("store", {"text": "text", "opset": 20})])
    assert Sequence(["obey", "store"]) != Sequence(["obey", ("store", {"text": "other"})])


def test_a_value_without_plain_form_fails_the_tool_that_left_it(script: Writer, cache: Path) -> None:
    with pytest.raises(TurnkeyError, match="obey ended with TypeError"):
        launch(["obey"], cache, script("statistics = {'what': object()}"))

    assert load_state(cache, "model").build_status == "error"


def test_a_name_that_leaves_the_cache_is_refused(script: Writer, cache: Path) -> None:
    for name in ("../x", "a/b", "", ".", ".."):
        with pytest.raises(TurnkeyError, match="not the name of a build"):
            launch(["obey"], cache, script(), name=name)
    assert not (cache.parent / "x").exists()


def test_a_directory_that_is_not_ours_is_left_alone(script: Writer, cache: Path) -> None:
    (cache / "model").mkdir(parents=True)
    (cache / "model" / "thesis.txt").write_text("precious")

    with pytest.raises(TurnkeyError, match="not a build of ours"):
        launch(["obey"], cache, script())
    assert os.listdir(cache / "model") == ["thesis.txt"]
