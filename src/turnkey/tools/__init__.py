"""The tools, one module each. Every built-in tool's class can be had from here: ``turnkey.tools.Discover``.

A class is imported when it is first asked for; the names are those of the table of tools.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from turnkey.pipeline.toolbox import TOOLS

_PLACES = {place.partition(":")[2]: place.partition(":")[0] for place in TOOLS.builtin.values()}

__all__ = sorted(_PLACES)


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'turnkey.tools' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
