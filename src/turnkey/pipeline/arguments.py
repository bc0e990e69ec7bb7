"""The arguments with which a tool really runs: those given, completed by the defaults of its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnkey.errors import UsageError
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.tool import Tool, ToolKind

_OF_FIRST_TOOLS = ("input", "target")


def effective_arguments(tool: type[Tool], given: Mapping[str, Any]) -> dict[str, Any]:
    """Given values and defaults as plain data; a default of None leaves the argument to the tool.

    Raises:
        UsageError: the tool has no such argument, or a value is not among its choices.
    """
    known = {argument.key: argument for argument in tool.arguments}
    extra = _OF_FIRST_TOOLS if tool.kind is ToolKind.FIRST else ()
    values: dict[str, Any] = {}
    for key, value in given.items():
        if key not in known and key not in extra:
            raise UsageError(
                f"{tool.name} has no argument {key!r}",
                evidence=f"known: {', '.join([*known, *extra]) or 'none'}",
                remedy=f"turnkey {tool.name} -h",
            )
        values[key] = plain(value)
    for key, argument in known.items():
        if values.get(key) is None and argument.default is not None:
            values[key] = plain(argument.default() if callable(argument.default) else argument.default)
        if argument.choices and isinstance(values.get(key), str) and values[key] not in argument.choices:
            raise UsageError(
                f"{values[key]!r} is not a value of {argument.flags[0]}",
                evidence=f"choices: {', '.join(argument.choices)}",
                remedy=f"turnkey {tool.name} -h",
            )
    return {key: value for key, value in values.items() if value is not None}
