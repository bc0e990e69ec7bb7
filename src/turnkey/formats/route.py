"""The conversion graph: formats are its nodes, what each is converted from its edges. Finds the way to a format.

The shortest way from anything that is there wins; among equally short ones what the format prefers to be converted
from, and before that what the caller has newest. A step that failed can be refused, and another way is found.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from turnkey.errors import ConversionError, TurnkeyError, UsageError
from turnkey.formats.format import Format
from turnkey.plugins import require_installed


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One edge: ``format`` is made from ``parent``; both are names of formats."""

    parent: str
    format: str

    def __str__(self) -> str:
        return f"{self.parent} -> {self.format}"


def formats_named(text: str) -> tuple[str, ...]:
    """The format of that name, else all that are stored in that way: ``torchscript`` is its trace and its script.

    Raises:
        UsageError: there is neither.
    """
    from turnkey.formats import FORMATS, find_format

    if text in FORMATS.names():
        return (text,)
    family = tuple(name for name in FORMATS.builtin if find_format(name).stored_as == text)
    if not family:
        find_format(text)  # raises with the list of those that exist
    return family


def installed_format(name: str) -> Format:
    """The format of that name, with what it needs installed.

    Raises:
        UsageError: there is none of that name.
        MissingDependencyError: it needs something that is not installed.
    """
    from turnkey.formats import find_format

    form = find_format(name)
    require_installed(form, noun="format")
    return form


def find_route(
    target: str,
    *,
    available: Collection[str],
    preferred: Sequence[str] | None = None,
    refused: Collection[Step] = (),
) -> tuple[Step, ...]:
    """The steps to a format, at least one, in the order in which they are done.

    Args:
        target: name of the format.
        available: formats that are there already.
        preferred: those of them that win over the format's own order, the most preferred first; by default all.
        refused: steps that must not be part of it.

    Raises:
        UsageError: there is no such format.
        MissingDependencyError: every way needs something that is not installed.
        ConversionError: no way leads from what is there to it.
    """
    from turnkey.formats import FORMATS

    waiting: deque[tuple[str, tuple[Step, ...]]] = deque([(target, ())])
    seen = {target}
    obstacles: list[TurnkeyError] = []
    while waiting:
        name, following = waiting.popleft()
        try:
            form = installed_format(name)
        except TurnkeyError as error:  # not installed, or a broken plug-in: another way may lead around it
            if isinstance(error, UsageError) and name == target:
                raise
            obstacles.append(error)
            continue
        for parent in _ordered(form.converts_from, tuple(available) if preferred is None else preferred):
            step = Step(parent=parent, format=name)
            if step in refused:
                continue
            if parent in available:
                return (step, *following)
            if parent not in seen and parent in FORMATS.names():
                seen.add(parent)
                waiting.append((parent, (step, *following)))
    if obstacles:
        raise obstacles[0]
    raise ConversionError(
        f"no way leads to the format {target}",
        evidence=f"there is {', '.join(available) or 'nothing to convert'}; "
        f"{target} is converted from {', '.join(installed_format(target).converts_from) or 'nothing'}"
        + "".join(f"; {step} failed" for step in refused),
        remedy=""
        if target in available
        else f"start with the script: turnkey -i SCRIPT.py discover convert --to {target}",
    )


def _ordered(parents: Iterable[str], preferred: Sequence[str]) -> list[str]:
    """Parents that the caller prefers first, in the caller's order; then the others in the format's own."""
    parents = list(parents)
    return [name for name in preferred if name in parents] + [name for name in parents if name not in preferred]
