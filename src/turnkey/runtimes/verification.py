"""What verifying a file showed: one value per signature, and one over all of them.

A file is *invalid* if anything differs, *valid* if the captured inputs proved something and nothing differs, else
*unverified*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.runtimes.hidden import HiddenComparison
from turnkey.verify import Comparison, OutputComparison, VerificationVerdict

CAPTURED, MADE = "captured", "made"
"""Origins of the first samples: what a script really used, or inputs made for a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureVerification:
    """What the samples of one signature showed.

    Attributes:
        origin: where the samples are from: ``captured``, ``made``, ``captured, other shapes``, ``batch size 3``.
        shapes: of the inputs, by name.
        samples: how many were compared.
        verdict: over them.
        reason: why it is not valid, or what made it valid in spite of zero outputs.
        worst: per output the comparison with a failure, else with the largest error.
        hidden: what the submodules showed, where they were looked at.
    """

    origin: str
    shapes: dict[str, tuple[int, ...]]
    samples: int
    verdict: VerificationVerdict
    reason: str = ""
    worst: tuple[OutputComparison, ...] = ()
    hidden: HiddenComparison | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the state."""
        fields: dict[str, Any] = {
            "origin": self.origin,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "samples": self.samples,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "outputs": [output.to_dict() for output in self.worst],
        }
        if self.hidden is not None and self.hidden.divergent:
            fields["first_divergent_layer"] = self.hidden.divergent
        return fields


@dataclass(frozen=True, slots=True, kw_only=True)
class VariantVerification:
    """What all signatures showed of one variant.

    Attributes:
        key: of the variant.
        runtime, runtime_version: what executed it.
        parts: at least one; the captured samples first.
        is_source: it is the file that is the source: optimised, it was compared with itself as it is written.
    """

    key: str
    runtime: str
    runtime_version: str
    parts: tuple[SignatureVerification, ...]
    is_source: bool = False

    @property
    def verdict(self) -> VerificationVerdict:
        """Invalid if any signature is; else what the captured samples showed."""
        if any(part.verdict is VerificationVerdict.INVALID for part in self.parts):
            return VerificationVerdict.INVALID
        return self.parts[0].verdict

    @property
    def failed(self) -> SignatureVerification | None:
        """The first signature that differs."""
        return next((part for part in self.parts if part.verdict is VerificationVerdict.INVALID), None)

    @property
    def reason(self) -> str:
        """Why it is not valid, or why it is in spite of appearances; empty if there is nothing to say."""
        if self.failed is not None or self.verdict is not VerificationVerdict.VALID:
            return (self.failed or self.parts[0]).reason
        return next((part.reason for part in self.parts if part.verdict is self.verdict and part.reason), "")

    def worst(self, measure: str) -> float | None:
        """The largest ``max_abs``, ``max_rel`` or ``relative_l2`` over all outputs and signatures."""
        outputs = [output for part in self.parts for output in part.worst]
        return max((value for output in outputs if (value := getattr(output, measure)) is not None), default=None)

    def entries(self) -> list[dict[str, Any]]:
        """One entry of plain data per signature, for the state."""
        facts = {"key": self.key, "runtime": self.runtime, "runtime_version": self.runtime_version}
        return [{**facts, **part.to_dict()} for part in self.parts]

    @property
    def sentence(self) -> str:
        """One line for the terminal."""
        words = f"{self.key}: {self.verdict.value}"
        error = self.worst("max_abs")
        if error is not None:
            words += f", largest error {error:.2g}"
            relative = self.worst("relative_l2")
            words += f" (relative L2 {relative:.2g})" if relative is not None else ""
        resized = any(part.origin.startswith("batch size") for part in self.parts)
        counted = {CAPTURED: "captured", MADE: "made inputs"}
        origins = [
            f"{part.samples} {counted[part.origin]}" if part.origin in counted else part.origin for part in self.parts
        ]
        words += " against itself without optimisations, as it is the source" if self.is_source else ""
        words += f"; {', '.join(dict.fromkeys(origins))}{'' if resized else ', no other batch size'}"
        return f"{words}; {self.reason}" if self.reason else words


def summarized(
    comparisons: Sequence[Comparison], *, origin: str, shapes: dict[str, tuple[int, ...]]
) -> SignatureVerification:
    invalid = next((each for each in comparisons if each.verdict is VerificationVerdict.INVALID), None)
    proving = next((each for each in comparisons if each.verdict is VerificationVerdict.VALID), None)
    telling = invalid or proving or comparisons[0]
    worst: dict[str, OutputComparison] = {}
    for output in (output for each in comparisons for output in each.outputs):
        known = worst.get(output.name)
        if known is None or _badness(output) > _badness(known):
            worst[output.name] = output
    # What a reader must know of outputs that agree: judged by the norm alone, or excused as rounding.
    remarks = dict.fromkeys(output.reason for output in worst.values() if output.proves and output.reason)
    return SignatureVerification(
        origin=origin,
        shapes=shapes,
        samples=len(comparisons),
        verdict=telling.verdict,
        reason=telling.reason or "; ".join(remarks),
        worst=tuple(worst.values()),
    )


def _badness(output: OutputComparison) -> tuple[bool, float]:
    return bool(output.failed_test), output.max_abs if output.max_abs is not None else -1.0
