"""Whether a sample has the inputs that a file takes."""

from __future__ import annotations

from collections.abc import Sequence

from turnkey.errors import InputError
from turnkey.model.samples import Sample


def require_inputs(names: Sequence[str], sample: Sample, *, taker: str) -> None:
    """Raises InputError where the sample lacks an input; ``taker`` is who takes them, in words."""
    missing = [name for name in names if name not in sample]
    if missing:
        raise InputError(
            f"{taker} takes inputs that the sample does not have: {', '.join(missing)}",
            evidence=f"{taker} takes {list(names)}, the sample has {list(sample)}",
        )
