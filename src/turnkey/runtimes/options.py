"""What the user tells a runtime: ``--rt-args key::value key::[a,b] flag``, and how a runtime reads it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnkey.errors import UsageError


def parse_runtime_arguments(texts: Iterable[str], *, flag: str = "--rt-args") -> dict[str, str | list[str] | bool]:
    """Options as a mapping: ``key::value`` a text, ``key::[a,b]`` a list of texts, a lone word True.

    Args:
        flag: the argument that they came with, for messages.

    Raises:
        UsageError: an empty key, a key given twice, or a list that is not closed.
    """
    options: dict[str, str | list[str] | bool] = {}
    for text in texts:
        key, separator, value = text.partition("::")
        if not key or key in options or (value.startswith("[") and not value.endswith("]")):
            raise UsageError(
                f"{flag} cannot read {text!r}",
                evidence=f"{key!r} is given twice" if key in options else "expected key::value, key::[a,b] or a word",
                remedy="turnkey ... benchmark --rt-args graph_optimization_level::extended",
            )
        if not separator:
            options[key] = True
        elif value.startswith("["):
            options[key] = [item.strip() for item in value[1:-1].split(",") if item.strip()]
        else:
            options[key] = value
    return options


def refuse_unknown(runtime: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises UsageError naming the options that a runtime does not know, and those that it does."""
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise UsageError(
            f"the runtime {runtime} has no option called {', '.join(map(repr, unknown))}",
            evidence=f"known: {', '.join(known) or 'none'}",
        )


def chosen(option: str, value: Any, known: Iterable[str]) -> str:
    """The value of an option, which is one of those that it may have. Raises UsageError naming them."""
    if value not in (allowed := tuple(known)):
        raise UsageError(f"{option} cannot be {value!r}", evidence=f"one of: {', '.join(allowed)}")
    return str(value)
