"""``DEFAULT_TIMEOUT_SECONDS``, where the Tools User Guide documents it: the value in effect when it is looked up."""

from __future__ import annotations

from turnkey import settings


def __getattr__(name: str) -> float:
    if name == "DEFAULT_TIMEOUT_SECONDS":
        return settings.timeout_seconds()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
