"""A sequence: tools with their arguments, in the order in which they run.

It is data: two equal lists of (tool, arguments) do the same in this process, in a worker or in a later call that
resumes. How a state goes through it is in `turnkey.pipeline.passage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnkey.errors import UsageError
from turnkey.pipeline.arguments import effective_arguments
from turnkey.pipeline.events import Listener, silent
from turnkey.pipeline.passage import INTERRUPTED, Outcome, Passage
from turnkey.pipeline.state import State
from turnkey.pipeline.tool import Steps, Tool, ToolKind
from turnkey.pipeline.toolbox import find_tool

__all__ = ["INTERRUPTED", "Outcome", "Sequence"]


class Sequence:
    """An ordered list of (tool, arguments).

    Args:
        steps: names of tools with the arguments that differ from their defaults, by keyword of the tool's ``run``.

    Raises:
        UsageError: no step, an unknown tool, a tool in the wrong place, an argument that a tool does not have.
    """

    def __init__(self, steps: Iterable[tuple[str, Mapping[str, Any]] | list[Any] | str]) -> None:
        pairs = [(step, {}) if isinstance(step, str) else (step[0], step[1]) for step in steps]
        if not pairs:
            raise UsageError("a sequence needs at least one tool")
        self.tools: tuple[type[Tool], ...] = tuple(find_tool(name) for name, _ in pairs)
        """Classes of the tools, in order."""
        _check_places(self.tools)
        self.steps: Steps = tuple(
            (tool.name, effective_arguments(tool, arguments))
            for tool, (_, arguments) in zip(self.tools, pairs, strict=True)
        )
        """Names with effective arguments, in order."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(repr(self.steps))

    def __repr__(self) -> str:
        return f"Sequence({[(name, dict(arguments)) for name, arguments in self.steps]!r})"

    @property
    def names(self) -> tuple[str, ...]:
        """Names for logs and keys: the second ``benchmark`` is ``benchmark-2``."""
        counts: dict[str, int] = {}
        names = []
        for tool, _ in self.steps:
            counts[tool] = counts.get(tool, 0) + 1
            names.append(tool if counts[tool] == 1 else f"{tool}-{counts[tool]}")
        return tuple(names)

    def launch(self, state: State, *, listen: Listener = silent) -> State:
        """Send a state through all tools and return the last one.

        The first tool takes its input from its arguments (``input``, ``target``), else from ``state.input``.

        Raises:
            TurnkeyError: a tool failed; state and statistics on disk say so.
        """
        outcome = self.run(state, listen=listen)
        if outcome.failure is not None:
            raise outcome.failure.error
        return outcome.state

    def run(
        self,
        state: State,
        *,
        listen: Listener = silent,
        finished: int = 0,
        echo: bool = False,
        named: str = "",
        shown: str = "",
        reuse: bool = True,
    ) -> Outcome:
        """Like `launch`, but a failed tool is part of the outcome.

        Args:
            finished: so many first steps are done already, ``state`` is what came out of them (a resumed build).
            echo: show the tools' output on the terminal too.
            named: the input's path as the user wrote it, for the first tool; by default that of the state.
            shown: the input in messages and events.
            reuse: take results of earlier runs of this build where nothing that they depend on has changed.

        Raises:
            KeyboardInterrupt: passed on after the build was marked as interrupted.
        """
        passage = Passage(
            tools=self.tools,
            steps=self.steps,
            names=self.names,
            listen=listen,
            echo=echo,
            named=named or str(self.steps[0][1].get("input") or state.input.get("path", "")),
            shown=shown,
            reuse=reuse,
        )
        return passage.take(state, finished=finished)


def _check_places(tools: Iterable[type[Tool]]) -> None:
    tools = list(tools)
    for index, tool in enumerate(tools):
        if tool.kind is ToolKind.MANAGEMENT:
            raise UsageError(f"{tool.name} is a management tool and has no place in a sequence")
        if tool.kind is ToolKind.FIRST and index > 0:
            names = [tool.name, *(other.name for other in tools if other is not tool)]
            raise UsageError(
                f"{tool.name} starts a sequence and must come first", remedy=f"turnkey -i INPUTS {' '.join(names)}"
            )
