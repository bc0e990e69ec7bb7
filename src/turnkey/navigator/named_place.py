"""Objects of the user's own code by where they are: ``package.module:name`` or ``path/file.py:name``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from turnkey.errors import UsageError


def imported(place: str, *, directory: Path | None = None) -> Any:
    """What stands at a place. Importing runs the module, with the rights of the user.

    Args:
        directory: to which a file is relative; None is the working directory.

    Raises:
        UsageError: there is nothing of that name.
    """
    module, _, name = place.partition(":")
    home, file = directory or Path.cwd(), None
    try:
        if not name:
            raise ValueError("a place is module:name or file.py:name")
        if module.endswith(".py"):
            file = (home / module).resolve(strict=True)
            home, module = file.parent, file.stem
        # At the end, and to stay: fresh processes look for the model's classes where this one found them.
        sys.path.extend(entry for entry in [str(home)] if entry not in sys.path)
        found = importlib.import_module(module)
        there = getattr(found, "__file__", None) or ""
        if file is not None and Path(there).resolve() != file:
            raise ImportError(f"the module {module} is {there or 'no file'} here: give the file another name")
        return getattr(found, name)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        raise UsageError("there is no such object", evidence=f"{place}: {error}") from error


def built(found: Any) -> Any:
    """The model itself: what a class or a function without arguments makes, else the object as it is.

    A function with parameters is a model of its own: a Python callable of arrays.
    """
    import inspect

    if isinstance(found, type):
        return found()
    if inspect.isfunction(found) and not inspect.signature(found).parameters:
        return found()
    return found
