"""From the texts of a section to values: parsed, checked against the choices, nearest spelling in the message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnkey.cli.splitter import Section
from turnkey.errors import UsageError
from turnkey.nearest import nearest
from turnkey.pipeline.tool import Argument, Arity


def given_values(section: Section, table: Sequence[Argument]) -> dict[str, Any]:
    """Values of the arguments that were given, by key: True for a flag, a tuple for one that takes many.

    Raises:
        UsageError: a value that cannot be parsed or is no choice, a required positional that is missing.
    """
    values: dict[str, Any] = {}
    for item in section.given:
        parsed = tuple(_parse(item.argument, text, section.tool) for text in item.texts)
        if item.argument.arity is Arity.FLAG:
            values[item.argument.key] = True
        else:
            values[item.argument.key] = parsed if item.argument.arity is Arity.MANY else parsed[0]
    positionals = [argument for argument in table if argument.is_positional]
    for argument in positionals:
        if argument.key not in values:
            texts = {item.argument.key: item.texts for item in section.given}
            words = (" ".join(texts.get(each.key, (_example(each),))) for each in positionals)
            raise UsageError(
                f"{section.tool} needs {argument.metavar or argument.flags[0].upper()}",
                evidence=argument.help,
                remedy=f"turnkey {section.tool} {' '.join(words)}",
            )
    return values


def _parse(argument: Argument, text: str, tool: str) -> Any:
    where = f"{tool} {argument.flags[-1]}" if tool else argument.flags[-1]
    if argument.choices and text not in argument.choices:
        close = nearest(text, argument.choices)
        raise UsageError(
            f"{text!r} is not a value of {where}",
            evidence=f"choices: {', '.join(argument.choices)}",
            remedy=f"did you mean {' or '.join(close)}?" if close else f"turnkey {tool + ' ' if tool else ''}-h",
        )
    try:
        return argument.parse(text)
    except UsageError:
        raise
    except ValueError as error:
        cause = error.__cause__  # a name that a table of plug-ins does not know, with those that resemble it
        hint = cause.remedy if isinstance(cause, UsageError) else ""
        raise UsageError(
            f"{text!r} is not a value of {where}",
            evidence=str(error),
            remedy=hint or f"turnkey {tool + ' ' if tool else ''}-h   # shows what it takes",
        ) from error


def _example(argument: Argument) -> str:
    return "|".join(argument.choices) or argument.metavar or argument.flags[0].upper()
