"""What happens while inputs are worked on, told to whoever shows it; crosses a worker's pipe as a JSON line."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from turnkey.pipeline.printable import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened.

    Attributes:
        kind: ``input-started``, ``tool-waiting`` (for its turn on this machine), ``tool-started``, ``tool-progress``,
            ``tool-finished``, ``listing`` (what a tool found or measured), ``input-finished``, ``note``.
        input: what the user named.
        build_name: its build, where known.
        tool: name in the sequence (``benchmark-2`` for a second one), for tool events.
        text: the tool's progress message, where it is, a reason, a listing, or a note.
        status: of the finished tool or input: ``successful``, ``error``, ``skipped`` …
        seconds: duration of what finished.
        measures: the tool that started times calls: nothing may be drawn until it has finished.
        planned: names of all tools of the sequence, with ``input-started``.
        echoed: the text has been on the terminal already, with what the tool printed.
    """

    kind: str
    input: str
    build_name: str = ""
    tool: str = ""
    text: str = ""
    status: str = ""
    seconds: float = 0.0
    measures: bool = False
    planned: tuple[str, ...] = ()
    echoed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", printable(self.text, keep="\n\t"))  # scripts and models have a say in it

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Event:
        return cls(**{**fields, "planned": tuple(fields.get("planned", ()))})


Listener = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Teller:
    """Tells a listener about one input."""

    listen: Listener
    input: str
    build_name: str

    def note(self, text: str) -> None:
        self.listen(Event(kind="note", input=self.input, build_name=self.build_name, text=text))

    def listing(self, text: str, *, echoed: bool) -> None:
        self.listen(Event(kind="listing", input=self.input, build_name=self.build_name, text=text, echoed=echoed))

    def waiting(self, tool: str, text: str) -> None:
        self.listen(Event(kind="tool-waiting", input=self.input, build_name=self.build_name, tool=tool, text=text))

    def started(self, tool: str, text: str, *, measures: bool) -> None:
        self.listen(
            Event(
                kind="tool-started",
                input=self.input,
                build_name=self.build_name,
                tool=tool,
                text=text,
                measures=measures,
            )
        )

    def progress(self, tool: str, text: str) -> None:
        self.listen(Event(kind="tool-progress", input=self.input, build_name=self.build_name, tool=tool, text=text))

    def finished(self, tool: str, status: str, text: str, seconds: float) -> None:
        self.listen(
            Event(
                kind="tool-finished",
                input=self.input,
                build_name=self.build_name,
                tool=tool,
                text=text,
                status=status,
                seconds=seconds,
            )
        )


_watching: list[Callable[[str], None]] = []
"""Who is told by the tool at work; the innermost last."""


@contextmanager
def progress_told_to(take: Callable[[str], None]) -> Iterator[None]:
    """While the context lasts, `tell_progress` of this process leads there."""
    _watching.append(take)
    try:
        yield
    finally:
        _watching.pop()


def tell_progress(text: str) -> None:
    """Say where a long piece of work is, in one line; never while something is being timed."""
    if _watching:
        _watching[-1](text)


def silent(event: Event) -> None:
    """The listener that shows nothing."""
