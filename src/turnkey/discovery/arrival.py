"""The moment at which a script loads torch: nothing is imported for it, we only wait for its own import.

A finder in front of `sys.meta_path` answers nothing itself. For the awaited modules it takes the spec that the other
finders give and wraps the execution of that one module; once all have come, it leaves.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Surround = Callable[[], AbstractContextManager[None]]
"""Makes the context inside which a module is executed for the first time."""


class Arrivals:
    """Waits for modules until `leave`.

    Args:
        awaited: name of a module to the context in which it is to be executed. For a module that is loaded already
            the context is entered and left at once.
    """

    def __init__(self, awaited: Mapping[str, Surround]) -> None:
        self._awaited = dict(awaited)

    def wait(self) -> None:
        """Begin to wait."""
        for name in list(self._awaited):
            if name in sys.modules:
                with self._awaited.pop(name)():
                    pass
        if self._awaited:
            sys.meta_path.insert(0, self)

    def leave(self) -> None:
        """Stop waiting; harmless when everything has come."""
        if self in sys.meta_path:
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Import protocol: None for everything that is not awaited."""
        if name not in self._awaited:
            return None
        surround = self._awaited.pop(name)  # first, so that the search below does not come back here
        if not self._awaited:
            self.leave()
        spec = _find(name, path, target)
        if spec is None or spec.loader is None:
            return spec
        loader: Any = spec.loader
        execute = loader.exec_module

        def execute_surrounded(module: ModuleType) -> None:
            del loader.exec_module  # the class's own again
            with surround():
                execute(module)

        # On the instance, which belongs to this one spec: the loader stays of its class, as torch expects of it.
        loader.exec_module = execute_surrounded
        return spec


def _find(name: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    for finder in list(sys.meta_path):
        spec = finder.find_spec(name, path, target)
        if spec is not None:
            return spec
    return None
