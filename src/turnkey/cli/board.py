"""What the live monitor shows: one block per input, one line per tool. A value made from events; draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from turnkey.pipeline.events import Event

_MARKS = {"successful": "✓", "skipped": "–", "running": "▸", "waiting": "·"}
_ASCII_MARKS = {"successful": "ok", "skipped": "--", "running": "->", "waiting": ".."}
_FAILED = "✗"
_ASCII_FAILED = "XX"


@dataclass(slots=True, kw_only=True)
class ToolLine:
    """One tool of one input.

    Attributes:
        seconds: its duration once it has finished.
        expected_seconds: what it took in the last run of this build; None if it never ran there.
    """

    name: str
    status: str = "waiting"
    text: str = ""
    started_at: float = 0.0
    seconds: float = 0.0
    expected_seconds: float | None = None


@dataclass(slots=True, kw_only=True)
class Block:
    """One input: the name of its build, and its tools in order."""

    name: str
    tools: list[ToolLine] = field(default_factory=list)
    status: str = "running"
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StyledLine:
    """A line to draw; ``status`` selects its colour."""

    text: str
    status: str


class Board:
    """The blocks of the inputs that are worked on now; times are those of the caller's clock, in seconds.

    Args:
        expected_seconds: durations by tool of the last run of a build, by its name; asked when an input starts.
    """

    def __init__(
        self, *, ascii_only: bool, expected_seconds: Callable[[str], Mapping[str, float]] = lambda build: {}
    ) -> None:
        self._ascii_only = ascii_only
        self._expected_seconds = expected_seconds
        self._blocks: dict[str, Block] = {}

    def apply(self, event: Event, *, now: float) -> Block | None:
        """Take an event in; the block of an input that has just finished, which then leaves the board."""
        key = event.build_name or event.input
        if event.kind == "input-started":
            expected = self._expected_seconds(key)
            tools = [ToolLine(name=name, expected_seconds=expected.get(name)) for name in event.planned]
            self._blocks[key] = Block(name=key, tools=tools)
        elif event.kind == "tool-waiting":
            self._line(key, event.tool).text = event.text
        elif event.kind == "tool-started":
            line = self._line(key, event.tool)
            text = f"{event.text} (drawn between timed calls only)" if event.measures else event.text
            line.status, line.text, line.started_at = "running", text, now
        elif event.kind == "tool-progress":
            self._line(key, event.tool).text = event.text
        elif event.kind == "tool-finished":
            line = self._line(key, event.tool)
            line.status, line.text, line.seconds = event.status, event.text, event.seconds
        elif event.kind == "input-finished":
            block = self._blocks.pop(key, None) or Block(name=event.input)
            block.status, block.seconds = event.status, event.seconds
            for line in block.tools:
                if line.status == "running":  # it could not say how it ended: timed out, killed
                    line.status, line.text, line.seconds = event.status, event.text, now - line.started_at
            return block
        return None

    def lines(self, *, now: float) -> list[StyledLine]:
        """The blocks on the board, those that started first on top."""
        return [line for block in self._blocks.values() for line in self.block_lines(block, now=now)]

    @property
    def size(self) -> int:
        """How many inputs are on the board."""
        return len(self._blocks)

    def short_lines(self, *, now: float) -> list[StyledLine]:
        """One line per input: the tool at work, or the one that waits for its turn."""
        lines = []
        for block in self._blocks.values():
            at_work = [line for line in block.tools if line.status == "running"]
            waiting = [line for line in block.tools if line.status == "waiting" and line.text]
            for line in (at_work or waiting)[:1]:
                seconds = f"{now - line.started_at:.0f} s" if at_work else line.text
                text = f"{self._mark(line.status)} {block.name}  {line.name}  {seconds}"
                lines.append(StyledLine(text=text, status=line.status))
        return lines

    def block_lines(self, block: Block, *, now: float) -> list[StyledLine]:
        """One block in full."""
        width = max((len(line.name) for line in block.tools), default=0)
        lines = [StyledLine(text=f'Building "{block.name}"', status="title")]
        for line in block.tools:
            seconds = now - line.started_at if line.status == "running" else line.seconds
            time = "" if line.status == "waiting" else f"{seconds:7.1f} s"
            if line.status == "running" and line.expected_seconds:
                time += f" {min(99, int(100 * seconds / line.expected_seconds)):2d} %"  # of the last run's duration
            text = f"  {self._mark(line.status)} {line.name:<{width}} {time:>9}  {line.text}".rstrip()
            lines.append(StyledLine(text=text, status=line.status))
        return lines

    def summary_line(self, block: Block) -> StyledLine:
        """A finished block in one line, for calls with many inputs."""
        broken = [line for line in block.tools if line.status not in ("successful", "skipped", "waiting")]
        detail = f"  {broken[0].name}: {broken[0].text}" if broken else ""
        text = f"{self._mark(block.status)} {block.name}  {block.status}  {block.seconds:.1f} s{detail}"
        return StyledLine(text=text, status=block.status)

    def _line(self, key: str, tool: str) -> ToolLine:
        """The line of a tool; one that was not planned (a build that is re-created) gets a line of its own."""
        block = self._blocks.setdefault(key, Block(name=key))
        for line in block.tools:
            if line.name == tool:
                return line
        block.tools.append(ToolLine(name=tool))
        return block.tools[-1]

    def _mark(self, status: str) -> str:
        marks, failed = (_ASCII_MARKS, _ASCII_FAILED) if self._ascii_only else (_MARKS, _FAILED)
        return marks.get(status, failed)
