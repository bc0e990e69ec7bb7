"""Objects of the user's own code by where they are: ``package.module:name`` or ``path/file.py:name``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from turnkey.errors import ModelError, UsageError
from turnkey.formats.failure_text import evidence_of


def imported(place: str, *, directory: Path | None = None) -> Any:
    """What stands at a place. Importing runs the module, with the rights of the user.

    Args:
        directory: to which a file is relative; None is the working directory.

    Raises:
        UsageError: there is nothing of that name.
        ModelError: the module fails.
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
    except Exception as error:  # the user's module may raise anything
        raise ModelError(f"{place} cannot be imported", evidence=evidence_of(error)) from error


def made_by(function: Callable[[], Any], *, place: str) -> Any:
    """What a function of the user returns. Raises ModelError if it fails."""
    try:
        return function()
    except Exception as error:  # the user's function may raise anything
        raise ModelError(f"{place} fails", evidence=evidence_of(error)) from error


def built(place: str, *, directory: Path | None = None) -> Any:
    """The model itself: what a class or a function without arguments at a place makes, else the object as it is.

    A function with parameters is a model of its own: a Python callable of arrays.

    Raises:
        UsageError, ModelError: as `imported` and `made_by`.
    """
    found = imported(place, directory=directory)
    if isinstance(found, type) or (inspect.isfunction(found) and not inspect.signature(found).parameters):
        return made_by(found, place=place)
    return found
