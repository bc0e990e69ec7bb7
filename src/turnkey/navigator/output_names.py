"""Outputs under the names that the package documents: formats that rename keep the order."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, TypeVar

T = TypeVar("T", bound=Any)


def under_names(names: Collection[str], outputs: dict[str, T]) -> dict[str, T]:
    """The outputs by these names, where there are as many and they have others; else as they are."""
    if set(names) <= set(outputs) or len(names) != len(outputs):
        return outputs
    return dict(zip(names, outputs.values(), strict=True))
