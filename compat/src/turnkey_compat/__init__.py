"""Import roots of others, answered by rooms of Turnkey: the same modules under a second name.

`answer` is called by the root's ``__init__``; from then on ``lexer.api.lexer_context`` *is*
``turnkey.lexer.api.lexer_context``: one object in ``sys.modules`` under two names, so that a class stays one class.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions
from types import ModuleType
from typing import Any

VARIABLE = "TURNKEY_COMPAT_OVER_ORIGINALS"
_OURS = "turnkey-compat"


def answer(root: str, room: str) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Let every module below ``root`` be the one of the same name below ``room``.

    Returns:
        What the root itself has as ``__getattr__`` and ``__dir__``: the names of the room.

    Raises:
        ImportError: another installed distribution claims the root, and nobody said that this is meant.
    """
    _refuse_others(root)
    # Before the finder of files: that would load the room's files a second time, under the root's names.
    sys.meta_path.insert(0, _Alias(root, room))

    def attribute(name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(room), name)

    return attribute, lambda: dir(importlib.import_module(room))


class _Alias(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds modules below a root by importing those of the room."""

    def __init__(self, root: str, room: str) -> None:
        self._root = root
        self._room = room
        self._specs: dict[str, Any] = {}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not fullname.startswith(f"{self._root}."):
            return None
        if importlib.util.find_spec(self._name_in_room(fullname)) is None:
            return None
        return importlib.machinery.ModuleSpec(fullname, self)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        module = importlib.import_module(self._name_in_room(spec.name))
        self._specs[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has just written the alias's spec into the module, which has one of its own.
        for name, spec in list(self._specs.items()):
            if spec is not None and spec.name == module.__name__:
                module.__spec__ = self._specs.pop(name)

    def _name_in_room(self, fullname: str) -> str:
        return self._room + fullname[len(self._root) :]


def _refuse_others(root: str) -> None:
    others = sorted({name for name in packages_distributions().get(root, ()) if name.lower() != _OURS})
    if not others:
        return
    text = f"the package {root!r} is claimed by {' and '.join(others)} as well as by {_OURS}"
    if os.environ.get(VARIABLE) == "1":
        warnings.warn(f"{text}; {_OURS} answers, as {VARIABLE}=1 says", stacklevel=4)
        return
    raise ImportError(
        f"{text}\n"
        f"  do: pip uninstall {_OURS} {' '.join(others)}, then install the one that is meant\n"
        f"  or: export {VARIABLE}=1   # {_OURS} answers, with a warning"
    )
