"""Tables of plug-ins: built-in ones named here as text, third-party ones found through entry points.

Names come from the metadata of installed distributions; a plug-in is imported only when it is used. A broken one
is one line for the user, never a failure of other commands.

Trade-off: the metadata is read here and not by ``importlib.metadata``, whose import alone costs several times
what the scan does, at every start of the command line.

Scope: distributions in directories on ``sys.path`` (wheels, editable installs, eggs), not inside zip files.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from turnkey.errors import MissingDependencyError, UsageError
from turnkey.nearest import nearest

_OURS = "turnkey"


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPoint:
    """One plug-in as a distribution declares it: ``place`` is ``module:attribute``, ``distribution`` its name."""

    group: str
    name: str
    place: str
    distribution: str


@dataclass(frozen=True, slots=True)
class PluginTable:
    """One kind of plug-in.

    Attributes:
        group: the entry-point group: ``turnkey.tools``.
        noun: what users call it: ``tool``.
        builtin: name to ``module:attribute``.
    """

    group: str
    noun: str
    builtin: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """All names: the built-in ones in their order, then the others sorted."""
        return (*self.builtin, *sorted({point.name for point in self._declared()} - set(self.builtin)))

    def distributions(self, name: str) -> tuple[str, ...]:
        """Distributions that provide a plug-in of that name; more than one is a clash."""
        ours = (_OURS,) if name in self.builtin else ()
        return (*ours, *(point.distribution for point in self._declared() if point.name == name))

    def load(self, name: str) -> Any:
        """Import and return one plug-in.

        Raises:
            UsageError: no plug-in has that name, two distributions claim it, or a third party's cannot be imported.
        """
        providers = self.distributions(name)
        if not providers:
            close = nearest(name, self.names())
            raise UsageError(
                f"there is no {self.noun} called {name!r}",
                evidence=f"known: {', '.join(self.names())}",
                remedy=f"did you mean {' or '.join(close)}?" if close else "",
            )
        if len(providers) > 1:
            raise UsageError(
                f"the {self.noun} {name!r} is provided by {' and by '.join(providers)}",
                evidence=f"entry points of the group {self.group}",
                remedy=f"pip uninstall {providers[-1]}   # or the other one",
            )
        if name in self.builtin:
            return _import(self.builtin[name])
        place = next(point.place for point in self._declared() if point.name == name)
        try:
            return _import(place)
        except Exception as error:
            raise UsageError(
                f"the {self.noun} {name!r} of {providers[0]} cannot be imported",
                evidence=f"{place}: {type(error).__name__}: {error}",
                remedy=f"pip install --upgrade {providers[0]}   # or: pip uninstall {providers[0]}",
            ) from error

    def _declared(self) -> tuple[EntryPoint, ...]:
        return tuple(point for point in _entry_points(tuple(sys.path)) if point.group == self.group)


class Installable(Protocol):
    """A plug-in that says what it needs: import names, and the command that installs them."""

    name: str
    requires: tuple[str, ...]
    install: str


def require_installed(plugin: Installable, *, noun: str) -> None:
    """Raises MissingDependencyError, with the command that installs it, where something that it needs is missing."""
    missing = [module for module in plugin.requires if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingDependencyError(
            f"the {noun} {plugin.name} needs {', '.join(missing)}",
            evidence=f"no module named {missing[0]!r}",
            remedy=plugin.install,
        )


def _import(place: str) -> Any:
    module, _, attribute = place.partition(":")
    return getattr(importlib.import_module(module), attribute)


@cache
def _entry_points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """All entry points whose group begins with ``turnkey.``; of one distribution the first on the path counts."""
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for directory in dict.fromkeys(entry or os.curdir for entry in path):
        for distribution, text in _metadata_files(directory):
            key = distribution.lower().replace("-", "_").replace(".", "_")
            if key not in seen and key != _OURS:
                found.extend(_parse(text, distribution))
            seen.add(key)
    return tuple(found)


def _metadata_files(directory: str) -> Iterator[tuple[str, str]]:
    """(distribution, text of its entry_points.txt) of those under a directory that mention us, sorted by name."""
    try:
        names = sorted(os.listdir(directory))
    except OSError:  # not a directory, a zip file, or gone: nothing is installed there
        return
    for name in names:
        stem, suffix = os.path.splitext(name)
        if suffix not in (".dist-info", ".egg-info"):
            continue
        try:
            with open(os.path.join(directory, name, "entry_points.txt"), encoding="utf-8", errors="replace") as file:
                text = file.read()
        except OSError:  # most distributions have none
            continue
        if "turnkey." in text:
            yield stem.partition("-")[0], text


def _parse(text: str, distribution: str) -> Iterator[EntryPoint]:
    """Entry points of our groups in an ``entry_points.txt``: ``[group]`` lines, then ``name = module:attribute``."""
    group = ""
    for raw in text.splitlines():
        line = raw.strip()
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
        elif group.startswith("turnkey.") and "=" in line and not line.startswith(("#", ";")):
            name, _, place = line.partition("=")
            place = place.partition("[")[0].strip()  # extras after the place are for installers
            yield EntryPoint(group=group, name=name.strip(), place=place, distribution=distribution)
