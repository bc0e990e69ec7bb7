"""Tables of plug-ins: built-in ones named here as text, third-party ones found through entry points.

Names come from package metadata; a plug-in is imported only when it is used. A broken one is one line for the
user, never a failure of other commands.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from turnkey.errors import UsageError


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
        return (*self.builtin, *sorted(set(_entry_points(self.group)) - set(self.builtin)))

    def load(self, name: str) -> Any:
        """Import and return one plug-in.

        Raises:
            UsageError: no plug-in has that name.
        """
        place = self.builtin.get(name) or _entry_points(self.group).get(name)
        if place is None:
            raise UsageError(
                f"there is no {self.noun} called {name!r}",
                evidence=f"known: {', '.join(self.names())}",
            )
        module, _, attribute = place.partition(":")
        return getattr(importlib.import_module(module), attribute)


@cache
def _entry_points(group: str) -> dict[str, str]:
    from importlib.metadata import entry_points  # costs tens of milliseconds: only when asked

    return {point.name: point.value for point in entry_points(group=group)}
