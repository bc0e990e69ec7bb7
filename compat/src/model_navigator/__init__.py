"""The import root ``model_navigator``, answered by ``turnkey.navigator``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from turnkey_compat import answer

answer("model_navigator", "turnkey.navigator")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("turnkey.navigator"), name)


def __dir__() -> list[str]:
    return dir(import_module("turnkey.navigator"))
