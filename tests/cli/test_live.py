"""The live monitor on a terminal: at most every half second, and never while a tool measures."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from turnkey.cli import live
from turnkey.cli.live import LiveMonitor
from turnkey.launch.plain_lines import PlainLines
from turnkey.pipeline.events import Event


class Terminal(io.StringIO):
    """A terminal that remembers when it was written to."""

    encoding = "utf-8"

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        if text:
            self.times.append(time.monotonic())
        return super().write(text)

    def until(self, text: str) -> None:
        deadline = time.monotonic() + 10
        while text not in self.getvalue():
            assert time.monotonic() < deadline, self.getvalue()
            time.sleep(0.005)


def event(kind: str, **fields: object) -> Event:
    return Event(kind=kind, input="net.py", build_name="net", **fields)  # type: ignore[arg-type]


def test_nothing_is_written_while_a_tool_measures_and_drawing_goes_on_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_REDRAW_SECONDS", 0.01)
    terminal = Terminal()
    with LiveMonitor(terminal, inputs=1, cache_dir=tmp_path) as monitor:
        monitor.listen(event("input-started", planned=("discover", "benchmark", "verify")))
        monitor.listen(event("tool-started", tool="discover", text="Discovering models"))
        terminal.until("Discovering models")
        monitor.listen(event("tool-finished", tool="discover", status="successful"))
        monitor.listen(event("tool-started", tool="benchmark", text="Measuring", measures=True))
        assert "Measuring" in terminal.getvalue()
        before = terminal.getvalue()
        monitor.listen(event("note", text="a note meanwhile"))
        time.sleep(0.2)
        assert terminal.getvalue() == before
        monitor.listen(event("tool-finished", tool="benchmark", status="successful"))
        monitor.listen(event("tool-started", tool="verify", text="Verifying now"))
        terminal.until("Verifying now")
        assert "a note meanwhile" in terminal.getvalue()
    assert monitor.notes == ["a note meanwhile"]


def test_an_input_that_dies_while_it_measures_does_not_silence_the_monitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_REDRAW_SECONDS", 0.01)
    terminal = Terminal()
    with LiveMonitor(terminal, inputs=2, cache_dir=tmp_path) as monitor:
        monitor.listen(event("input-started", planned=("benchmark",)))
        monitor.listen(event("tool-started", tool="benchmark", text="Measuring", measures=True))
        monitor.listen(event("input-finished", status="killed"))
        monitor.listen(Event(kind="input-started", input="b.py", build_name="second", planned=("discover",)))
        terminal.until('Building "second"')


def test_what_is_finished_stays_on_the_terminal_and_what_was_drawn_does_not(tmp_path: Path) -> None:
    terminal = Terminal()
    with LiveMonitor(terminal, inputs=1, cache_dir=tmp_path) as monitor:
        monitor.listen(event("input-started", planned=("discover",)))
        monitor.listen(event("tool-started", tool="discover"))
        monitor.listen(event("tool-finished", tool="discover", status="successful"))
        monitor.listen(event("input-finished", status="successful"))
    assert terminal.getvalue().count("✓ discover") == 1


def test_without_a_terminal_there_is_one_plain_line_per_tool() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream)
    monitor.listen(event("input-started", planned=("discover",)))
    monitor.listen(event("tool-started", tool="discover"))
    monitor.listen(event("tool-finished", tool="discover", status="skipped", text="nothing to do", seconds=1.25))
    assert stream.getvalue() == 'Building "net"\nnet: discover skipped (1.2 s): nothing to do\n'


def test_without_a_terminal_a_tool_that_waits_for_its_turn_says_so() -> None:
    stream = io.StringIO()
    PlainLines(stream).listen(event("tool-waiting", tool="benchmark", text="waiting for process 7"))
    assert stream.getvalue() == "net: benchmark waiting for process 7\n"


def test_without_a_terminal_a_measurement_says_that_it_began_and_now_and_then_where_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [100.0]
    monkeypatch.setattr("turnkey.launch.plain_lines.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    monitor = PlainLines(stream)
    monitor.listen(event("tool-started", tool="benchmark", text="Benchmarking", measures=True))
    for number in range(25):
        now[0] += 1
        monitor.listen(event("tool-progress", tool="benchmark", text=f"round {number} of at most 25: torch"))
    assert stream.getvalue().splitlines() == [
        "net: benchmark started: Benchmarking",
        "net: benchmark: round 9 of at most 25: torch",
        "net: benchmark: round 19 of at most 25: torch",
    ]


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
    monitor.listen(event("note", text="a table", echoed=True))
    monitor.listen(event("note", text="a warning"))
    assert stream.getvalue() == "a warning\n"
    assert monitor.notes == ["a table", "a warning"]


def test_a_quiet_monitor_writes_nothing_and_still_knows_the_notes() -> None:
    stream = io.StringIO()
    monitor = PlainLines(stream, quiet=True)
    monitor.note("something")
    assert stream.getvalue() == ""
    assert monitor.notes == ["something"]
