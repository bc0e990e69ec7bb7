"""The live monitor on a terminal: at most every half second, and of a measurement when that says where it is."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest

from turnkey.cli import live
from turnkey.cli.live import LiveMonitor
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


def test_while_a_tool_measures_it_is_drawn_only_when_it_says_where_it_is_and_drawing_goes_on_afterwards(
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
        monitor.listen(event("tool-progress", tool="benchmark", text="round 2 of 5"))
        assert "round 2 of 5" in terminal.getvalue()
        before = terminal.getvalue()
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
