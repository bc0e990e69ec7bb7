"""The import root ``lexer``, answered by ``turnkey.lexer``."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from turnkey_compat import answer

answer("lexer", "turnkey.lexer")


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module("turnkey.lexer"), name)


def __dir__() -> list[str]:
    return dir(import_module("turnkey.lexer"))
