"""What a variant loses: how far its outputs are from the source model's, over several samples. Pure.

Measures for a reader, where `turnkey.verify.comparison` has a verdict. Signal-to-noise and cosine are over all
elements of all samples; agreement of the largest element is the share of rows whose argmax is the source's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from turnkey.model.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputLoss:
    """One output.

    Attributes:
        name: of the output.
        relative_l2: norm(error) / norm(reference).
        noise_db: 20 log10 of its inverse; None where there is no error, and where nothing is left.
        cosine: between all elements of both.
        max_abs: largest error of an element.
        top1: share of rows with the same largest element; None where a row has fewer than two elements.
    """

    name: str
    relative_l2: float
    noise_db: float | None
    cosine: float
    max_abs: float
    top1: float | None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the state; values that are not there are left out."""
        return {key: value for key, value in asdict(self).items() if value is not None}

    @property
    def sentence(self) -> str:
        """For the terminal."""
        if math.isinf(self.relative_l2):
            return f"{self.name}: nothing of it is left: missing, misshapen, not finite, or wrong beside zeros"
        noise = "exact" if self.noise_db is None else f"{self.noise_db:.0f} dB"
        words = f"{self.name}: relative L2 {self.relative_l2:.2g} ({noise}), largest error {self.max_abs:.2g}"
        return words if self.top1 is None else f"{words}, same top-1 in {self.top1:.0%}"


def output_losses(references: Sequence[Sample], outputs: Sequence[Sample]) -> tuple[OutputLoss, ...]:
    """The loss of every floating output.

    Args:
        references: outputs of the source model, one per sample.
        outputs: of the variant, for the same samples, with the same names.

    Elements that are infinite or NaN alike on both sides lose nothing. An output that is missing, of another shape, or
    not finite where the other is has an infinite loss.
    """
    names = [name for name, array in references[0].items() if np.asarray(array).dtype.kind not in "biuSUO"]
    return tuple(_loss(name, references, outputs) for name in names)


def _loss(name: str, references: Sequence[Sample], outputs: Sequence[Sample]) -> OutputLoss:
    pairs = [
        (np.asarray(one[name], np.float64), np.asarray(other[name], np.float64) if name in other else None)
        for one, other in zip(references, outputs, strict=True)
    ]
    fitting = [(one, other) for one, other in pairs if other is not None and other.shape == one.shape]
    wanted = np.concatenate([one.ravel() for one, _ in fitting]) if fitting else np.zeros(0)
    given = np.concatenate([other.ravel() for _, other in fitting]) if fitting else np.zeros(0)
    if len(fitting) == len(pairs):
        alike = ~np.isfinite(wanted) & ((wanted == given) | (np.isnan(wanted) & np.isnan(given)))
        wanted, given = wanted[~alike], given[~alike]
    if len(fitting) < len(pairs) or not (np.isfinite(given) & np.isfinite(wanted)).all() or not wanted.size:
        return OutputLoss(name=name, relative_l2=math.inf, noise_db=None, cosine=0.0, max_abs=math.inf, top1=None)
    error, norm = np.linalg.norm(given - wanted), np.linalg.norm(wanted)
    relative = float(error / norm) if norm else (0.0 if not error else math.inf)
    both = norm * np.linalg.norm(given)
    return OutputLoss(
        name=name,
        relative_l2=relative,
        noise_db=-20 * math.log10(relative) if 0 < relative < math.inf else None,
        cosine=float(np.dot(wanted, given) / both) if both else float(not error),
        max_abs=float(np.abs(given - wanted).max()),
        top1=_top1(fitting),
    )


def _top1(pairs: Sequence[tuple[np.ndarray, np.ndarray]]) -> float | None:
    rows = [
        (one.reshape(-1, one.shape[-1]), other.reshape(-1, one.shape[-1]))
        for one, other in pairs
        if one.ndim and one.shape[-1] > 1
    ]
    if not rows:
        return None
    same = np.concatenate([one.argmax(-1) == other.argmax(-1) for one, other in rows])
    return float(same.mean())
