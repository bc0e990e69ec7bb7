"""What became of each scheme of quantisation: the value, and the lines that tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.host import has_vnni
from turnkey.measure import Verdict
from turnkey.measure.validity import Reason
from turnkey.runtimes.layer_search import LayerLoss
from turnkey.verify.loss import OutputLoss

_TOLD_LAYERS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantized:
    """What became of one scheme.

    Attributes:
        scheme: the format.
        base: key of the form that it is compared with.
        key: of the variant; empty if it could not be made.
        refusal: why it cannot be used; empty if it can.
        losses: per output, on inputs that did not calibrate.
        metric, base_metric: values of the user's metric; None where there is none.
        layers: what each layer adds, the largest first.
        size_bytes, base_bytes: of the files.
        speedup: time of the base over its own; None where it was not measured.
        verdict: in words, with the interval.
        is_slower: whether it is proven slower.
        pays: whether it is usable and proven faster.
    """

    scheme: str
    base: str
    key: str = ""
    refusal: str = ""
    losses: tuple[OutputLoss, ...] = ()
    metric: float | None = None
    base_metric: float | None = None
    layers: tuple[LayerLoss, ...] = ()
    size_bytes: int = 0
    base_bytes: int = 0
    speedup: float | None = None
    verdict: str = ""
    is_slower: bool = False
    pays: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the statistics; what is not known is left out."""
        fields: dict[str, Any] = {
            "scheme": self.scheme,
            "base": self.base,
            "variant": self.key,
            "refusal": self.refusal,
            "losses": [loss.to_dict() for loss in self.losses if loss.relative_l2 != float("inf")],
            "metric": self.metric,
            "base_metric": self.base_metric,
            "layers": [{"layer": each.layer, "relative_l2": each.relative_l2} for each in self.layers[:_TOLD_LAYERS]],
            "size_bytes": self.size_bytes or None,
            "verdict": self.verdict,
            "pays": self.pays,
        }
        return {key: value for key, value in fields.items() if value not in (None, "", [])}


def verdict_in_words(verdict: Verdict, reasons: Sequence[Reason]) -> str:
    """The verdict with its interval; where it must not be used, with the codes of the reasons."""
    pair = (verdict.key, verdict.reference)
    spoilers = [each.code for each in reasons if each.spoils_verdict and any(map(each.applies_to, pair))]
    return f"{verdict} ({', '.join(dict.fromkeys(spoilers))})" if spoilers and not verdict.is_valid else str(verdict)


def conclusions(attempts: Sequence[Quantized], *, measured: bool) -> tuple[str, ...]:
    """Lines for the terminal: what became of each scheme, and what it loses."""
    lines = []
    for attempt in attempts:
        lines.append(f"{attempt.key or attempt.scheme}: {_conclusion(attempt, measured=measured)}")
        lines.extend(f"  {loss.sentence}" for loss in attempt.losses)
        if attempt.metric is not None and attempt.base_metric is not None:
            lines.append(f"  metric {attempt.metric:.4g}, of the source model {attempt.base_metric:.4g}")
        for each in attempt.layers[:_TOLD_LAYERS]:
            lines.append(f"  layer {each.layer} ({each.kind}) adds {each.relative_l2:.2g} relative L2")
    return tuple(lines)


def _conclusion(attempt: Quantized, *, measured: bool) -> str:
    if attempt.refusal:
        return f"refused: {attempt.refusal}"
    size = f"{attempt.base_bytes / attempt.size_bytes:.1f} times smaller" if attempt.size_bytes else ""
    if not measured:
        return f"made, {size}; its speed was not measured"
    if attempt.pays:
        return f"pays: {attempt.verdict} than {attempt.base}, {size}"
    if attempt.is_slower and attempt.speedup is not None:
        why = "; no VNNI" if "int8" in attempt.scheme and not has_vnni() else ""
        times = f"{1 / attempt.speedup:.1f} times slower here than {attempt.base}"
        return f"not quantised: {times} ({attempt.verdict}{why}); {size}"
    return f"not quantised: not proven faster here than {attempt.base} ({attempt.verdict}); {size}"
