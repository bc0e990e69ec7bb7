"""What the live monitor shows of a run, line by line."""

from __future__ import annotations

from turnkey.cli.board import Board
from turnkey.pipeline.events import Event


def started(*tools: str, name: str = "net") -> Event:
    return Event(kind="input-started", input=f"{name}.py", build_name=name, planned=tools)


def tool(kind: str, name: str, *, status: str = "", text: str = "", seconds: float = 0.0) -> Event:
    return Event(
        kind=f"tool-{kind}", input="net.py", build_name="net", tool=name, status=status, text=text, seconds=seconds
    )


def test_each_tool_has_a_line_with_its_status_and_seconds() -> None:
    board = Board(ascii_only=False)
    board.apply(started("discover", "verify", "benchmark"), now=0.0)
    board.apply(tool("started", "discover", text="Discovering"), now=1.0)
    board.apply(tool("finished", "discover", status="successful", seconds=2.5), now=3.5)
    board.apply(tool("started", "verify", text="Verifying"), now=4.0)
    lines = [line.text for line in board.lines(now=6.0)]
    assert lines[0] == 'Building "net"'
    assert lines[1].split() == ["✓", "discover", "2.5", "s"]
    assert lines[2].split() == ["▸", "verify", "2.0", "s", "Verifying"]
    assert lines[3].split() == ["·", "benchmark"]


def test_a_tool_that_ran_before_shows_its_share_of_that_time() -> None:
    board = Board(ascii_only=True, expected_seconds={"net": {"discover": 10.0}}.__getitem__)
    board.apply(started("discover", "verify"), now=0.0)
    board.apply(tool("started", "discover"), now=1.0)
    assert board.lines(now=5.0)[1].text.split() == ["->", "discover", "4.0", "s", "40", "%"]
    assert "99 %" in board.lines(now=60.0)[1].text
    board.apply(tool("finished", "discover", status="successful", seconds=60.0), now=61.0)
    board.apply(tool("started", "verify"), now=61.0)
    assert "%" not in "".join(line.text for line in board.lines(now=62.0))


def test_a_failure_shows_its_reason_and_a_terminal_without_unicode_gets_ascii() -> None:
    board = Board(ascii_only=True)
    board.apply(started("discover", "verify"), now=0.0)
    board.apply(tool("finished", "discover", status="error", text="the script failed", seconds=1), now=1.0)
    text = "\n".join(line.text for line in board.lines(now=1.0))
    assert text.isascii()
    assert "XX discover" in text
    assert "the script failed" in text


def test_a_finished_input_leaves_the_board_and_can_be_told_in_one_line() -> None:
    board = Board(ascii_only=True)
    board.apply(started("discover"), now=0.0)
    board.apply(tool("finished", "discover", status="timeout", text="no answer", seconds=9), now=9.0)
    done = Event(kind="input-finished", input="net.py", build_name="net", status="timeout", seconds=9.1)
    block = board.apply(done, now=9.0)
    assert block is not None
    assert board.lines(now=9.0) == []
    assert board.summary_line(block).text == "XX net  timeout  9.1 s  discover: no answer"


def test_an_input_that_ends_before_it_started_is_shown_all_the_same() -> None:
    board = Board(ascii_only=True)
    block = board.apply(Event(kind="input-finished", input="net.py", status="error"), now=0.0)
    assert block is not None
    assert "net.py" in board.summary_line(block).text


def test_a_tool_that_could_not_say_how_it_ended_ends_like_its_input() -> None:
    board = Board(ascii_only=True)
    board.apply(started("discover"), now=0.0)
    board.apply(tool("started", "discover", text="Discovering"), now=1.0)
    done = Event(
        kind="input-finished", input="net.py", build_name="net", status="killed", text="signal 11", seconds=3.0
    )
    block = board.apply(done, now=3.0)
    assert block is not None
    assert board.block_lines(block, now=9.0)[1].text.split() == ["XX", "discover", "2.0", "s", "signal", "11"]
