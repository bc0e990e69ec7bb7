"""Values of one call that a trace keeps as constants: where torch warns that it does, and how that is told."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable
from pathlib import Path

import torch

_TOLD_PLACES = 3


def frozen_places(caught: Iterable[warnings.WarningMessage]) -> tuple[str, ...]:
    """Lines of source, ``model.py:12``, at which the tracer warned; each once."""
    tracer = [warning for warning in caught if issubclass(warning.category, torch.jit.TracerWarning)]
    return tuple(dict.fromkeys(f"{Path(warning.filename).name}:{warning.lineno}" for warning in tracer))


def frozen_note(places: Collection[str]) -> tuple[str, ...]:
    """The note about these lines; none where there are none."""
    if not places:
        return ()
    told = ", ".join(sorted(places)[:_TOLD_PLACES])
    return (f"the trace froze values of this call at {len(places)} places ({told})",)
