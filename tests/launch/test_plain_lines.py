"""Plain lines: what somebody without a terminal sees of a call, and what `evaluate_files` tells while it works."""

from __future__ import annotations

import io
from pathlib import Path

import onnx
import pytest

from turnkey.launch.plain_lines import PlainLines
from turnkey.launch.python_call import evaluate_files
from turnkey.launch.tally import MANY_INPUTS
from turnkey.pipeline.events import Event

RELU = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,4] x) => (float[N,4] y) { y = Relu (x) }'


def event(kind: str, *, build: str = "net", **fields: object) -> Event:
    return Event(kind=kind, input=f"{build}.py", build_name=build, **fields)  # type: ignore[arg-type]


class Shown:
    """What is printed, and the second at which each line was."""

    def __init__(self, *, inputs: int = 1) -> None:
        self.second = 100.0
        self.lines: list[tuple[float, str]] = []
        self._stream = io.StringIO()
        self._monitor = PlainLines(self._stream, inputs=inputs, clock=lambda: self.second)

    def listen(self, at: float, told: Event) -> None:
        self.second = at
        self._monitor.listen(told)
        self.lines += [(at, line) for line in self._stream.getvalue().splitlines()]
        self._stream.truncate(0)
        self._stream.seek(0)


def progress(text: str, **fields: object) -> Event:
    return event("tool-progress", tool="benchmark", text=text, **fields)  # type: ignore[arg-type]


def test_without_a_terminal_there_is_one_plain_line_per_tool() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream)
    monitor.listen(event("input-started", planned=("discover",)))
    monitor.listen(event("tool-started", tool="discover"))
    monitor.listen(event("tool-finished", tool="discover", status="skipped", text="nothing to do", seconds=1.25))
    assert stream.getvalue() == 'Building "net"\nnet: discover skipped (1.2 s): nothing to do\n'


def test_a_tool_that_waits_for_its_turn_says_so() -> None:
    stream = io.StringIO()
    PlainLines(stream).listen(event("tool-waiting", tool="benchmark", text="waiting for process 7"))
    assert stream.getvalue() == "net: benchmark waiting for process 7\n"


def test_a_measurement_says_that_it_began_what_it_does_first_and_then_now_and_then_where_it_is() -> None:
    shown = Shown()
    shown.listen(100, event("tool-started", tool="benchmark", text="Benchmarking", measures=True))
    for number in range(1, 30):
        shown.listen(100 + number, progress(f"pass {number} of 30"))
    assert shown.lines == [
        (100, "net: benchmark started: Benchmarking"),
        (101, "net: benchmark: pass 1 of 30"),
        (109, "net: benchmark: pass 9 of 30"),
        (117, "net: benchmark: pass 17 of 30"),
        (125, "net: benchmark: pass 25 of 30"),
    ]


def test_of_an_engine_that_tells_every_ten_seconds_no_word_is_lost_to_a_moments_delay() -> None:
    shown = Shown()
    shown.listen(100, event("tool-started", tool="benchmark", text="Benchmarking", measures=True))
    for number in range(6):
        delay = 0.3 if number % 2 == 0 else 0.0
        shown.listen(100 + 10 * number + delay, progress(f"pass {number}"))
    assert len(shown.lines) == 1 + 6


def test_the_same_words_are_not_said_twice_of_one_measurement_but_again_of_the_next() -> None:
    shown = Shown()
    for start in (100, 200):
        shown.listen(start, event("tool-started", tool="benchmark", text="Benchmarking", measures=True))
        for second in range(1, 60):
            shown.listen(start + second, progress("round 1 of 1: torch"))
    assert [at for at, _ in shown.lines] == [100, 101, 200, 201]


def test_of_many_inputs_a_tally_comes_every_half_minute_with_where_the_measurement_at_work_is() -> None:
    shown = Shown(inputs=MANY_INPUTS)
    shown.listen(0, event("input-started", build="a"))
    shown.listen(1, event("tool-started", build="a", tool="benchmark", text="Benchmarking", measures=True))
    for second in range(2, 40):
        shown.listen(second, progress(f"pass {second} of 40", build="a"))
    shown.listen(40, event("input-finished", build="a", status="successful", seconds=40.0))
    assert shown.lines == [
        (2, f"0 of {MANY_INPUTS} inputs; 1 at work"),
        (2, "a: benchmark: pass 2 of 40"),
        (32, f"0 of {MANY_INPUTS} inputs; 1 at work"),
        (32, "a: benchmark: pass 32 of 40"),
        (40, "a: successful (40.0 s)"),
    ]


@pytest.mark.parametrize(("tools", "shown"), [(("discover",), ["a table"]), (("discover", "verify"), [])])
def test_of_many_inputs_what_tools_list_is_shown_only_where_it_is_all_that_was_asked_for(
    tools: tuple[str, ...], shown: list[str]
) -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream, inputs=MANY_INPUTS)
    monitor.listen(event("input-started", planned=tools))
    monitor.listen(event("listing", text="a table"))
    assert [line for line in stream.getvalue().splitlines() if "at work" not in line] == shown
    assert monitor.notes == ["a table"]


def test_an_input_that_was_killed_gets_a_plain_line_too() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream)
    monitor.listen(event("input-finished", status="killed", text="signal 11", seconds=2.0))
    assert stream.getvalue() == "net: killed (2.0 s): signal 11\n"
    monitor.listen(event("tool-finished", tool="discover", status="error", text="no", seconds=1.0))
    monitor.listen(event("input-finished", status="error", text="no", seconds=1.0))
    assert len(stream.getvalue().splitlines()) == 2


def test_what_was_on_the_terminal_already_is_kept_as_a_note_and_not_shown_again() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream)
    monitor.listen(event("listing", text="a table", echoed=True))
    monitor.listen(event("note", text="a warning"))
    assert stream.getvalue() == "a warning\n"
    assert monitor.notes == ["a table", "a warning"]


def test_quiet_lines_are_not_printed_and_still_known_as_notes() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream, quiet=True)
    monitor.note("something")
    assert stream.getvalue() == ""
    assert monitor.notes == ["something"]


def test_it_says_what_it_does_on_standard_error_unless_it_is_to_be_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    onnx.save(onnx.parser.parse_model(RELU), tmp_path / "m.onnx")
    for quiet in (False, True):
        evaluate_files(tmp_path / "m.onnx", ["load-onnx"], cache_dir=tmp_path / "cache", quiet=quiet)
        shown = capfd.readouterr()
        assert ("m: load-onnx successful" in shown.err) is not quiet
        assert shown.out == ""
