"""One measured candidate as a report shows it: figures of the state, its verdict, what nothing beats it in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnkey.measure.verdict import ratio_text, with_doubt
from turnkey.report.entry import latency_text, objective_of
from turnkey.report.figure import NONE, is_number, number
from turnkey.report.pareto import unbeaten
from turnkey.report.plots import Bar
from turnkey.report.remark import remark
from turnkey.report.source import ReportedBuild

_STEPS = (("import", "import_ms"), ("load", "load_ms"), ("compile", "compile_ms"), ("first call", "first_call_ms"))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredRung:
    """One batch size of a curve; milliseconds per call."""

    batch_size: int
    items_per_second: float
    latency_ms: float
    is_valid: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateRow:
    """Milliseconds and bytes; None is a figure that was not measured.

    Attributes:
        key: of the candidate.
        index: among the candidates of its model, for its colour.
        entry: of the state.
        relative_l2: largest relative error of its variant's outputs; None for the model itself or where unverified.
        verdict: text, ``FASTER 2.3× [1.9, 2.8] torch``; ``INVALID`` follows where it or the value must not be used.
        ratio, ratio_low, ratio_high: time of the reference over its own.
        is_verdict_valid: False where the verdict must not be used.
        is_unbeaten: no other candidate of the model is as good in latency, memory, size and error and better in one.
    """

    key: str
    index: int
    entry: Mapping[str, Any]
    relative_l2: float | None
    verdict: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    is_verdict_valid: bool
    is_chosen: bool
    is_unbeaten: bool

    def figure(self, name: str) -> float | None:
        """A number of the entry; None where there is none."""
        value = self.entry.get(name)
        return float(value) if is_number(value) else None

    @property
    def latency_ms(self) -> float | None:
        return self.figure("latency_ms")

    @property
    def latency_text(self) -> str:
        """``5.38 [4.54, 6.4]``."""
        return latency_text(self.entry)

    @property
    def error_text(self) -> str:
        return NONE if self.relative_l2 is None else f"{self.relative_l2:.1e}"

    @property
    def start_ms(self) -> float | None:
        """From starting a process to its first answer."""
        return math.fsum(value for _, value in self.cold_start) if self.cold_start else None

    @property
    def is_valid(self) -> bool:
        return self.entry.get("validity") != "INVALID"

    @property
    def rungs(self) -> tuple[MeasuredRung, ...]:
        """Its curve over batch sizes, as ``profile`` left it; empty without one."""
        curve = self.entry.get("batches")
        found = curve.get("rungs") if isinstance(curve, Mapping) else None
        return tuple(rung for entry in found or () if (rung := _rung(entry)) is not None)

    @property
    def curve_sentence(self) -> str:
        """Where its throughput peaks and why the climb ended; empty without a curve."""
        if not self.rungs:
            return ""
        best = max(self.rungs, key=lambda rung: rung.items_per_second)
        doubt = "" if best.is_valid else " (INVALID)"
        why = str(self.entry["batches"].get("reason") or "")
        said = f"{self.key}: {number(best.items_per_second)} items per second at batch {best.batch_size}{doubt}"
        return f"{said}; {why}" if why else said

    @property
    def runtime(self) -> str:
        return str(self.entry.get("runtime") or self.key)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(str(reason) for reason in self.entry.get("reasons") or ())

    @property
    def verified(self) -> str:
        """One word; the rest of the sentence is in `verification`."""
        return self.verification.partition(":")[0]

    @property
    def verification(self) -> str:
        return str(self.entry.get("verification") or NONE)

    @property
    def remark(self) -> str:
        """Recommended, failed or INVALID, as the terminal says it."""
        return remark(self.entry, is_chosen=self.is_chosen)

    @property
    def cold_start(self) -> tuple[tuple[str, float], ...]:
        """What passes from starting a process to its first answer, milliseconds, in order."""
        return tuple((name, value) for name, key in _STEPS if (value := self.figure(key)) is not None)

    def bar(self) -> Bar | None:
        """Its latency for a plot; None if it has none."""
        if self.latency_ms is None:
            return None
        low, high = self.figure("latency_low_ms"), self.figure("latency_high_ms")
        objective = objective_of(self.entry)
        label = self.key if objective == "median" else f"{self.key} ({objective})"
        return Bar(
            label=label, index=self.index, center=self.latency_ms, low=low, high=high, doubtful=not self.is_valid
        )


def candidate_rows(build: ReportedBuild, verdicts: Mapping[str, Mapping[str, Any]]) -> tuple[CandidateRow, ...]:
    """The candidates of one build in the order of its state.

    Args:
        verdicts: of the record, by candidate; empty where no record can be read.
    """
    variants = {str(entry.get("variant")) for entry in build.measurements}
    errors = {variant: _relative_l2(build.verification, variant) for variant in variants}
    # Latencies of several statistics are no one axis: then the medians of all calls are.
    is_mixed = len({objective_of(entry) for entry in build.measurements if _figure(entry, "latency_ms")}) > 1
    axes = ("median_ms" if is_mixed else "latency_ms", "peak_memory_bytes", "size_bytes")
    front = unbeaten(
        {
            str(entry.get("key")): (
                *(_figure(entry, name) for name in axes),
                errors[str(entry.get("variant"))] if entry.get("variant") else 0.0,
            )
            for entry in build.measurements
            if _figure(entry, "latency_ms") is not None
        }
    )
    return tuple(
        CandidateRow(
            key=str(entry.get("key", NONE)),
            index=index,
            entry=entry,
            relative_l2=errors[str(entry.get("variant"))],
            is_chosen=build.is_chosen(entry),
            is_unbeaten=str(entry.get("key")) in front,
            **_verdict(entry, verdicts.get(str(entry.get("key")))),
        )
        for index, entry in enumerate(build.measurements)
    )


def _verdict(entry: Mapping[str, Any], found: Mapping[str, Any] | None) -> dict[str, Any]:
    is_value_valid = entry.get("validity") != "INVALID"
    if found is None:
        said = str(entry.get("verdict") or NONE)
        return {
            "verdict": with_doubt(said, is_value_valid=is_value_valid),
            "ratio": None,
            "ratio_low": None,
            "ratio_high": None,
            "is_verdict_valid": "INVALID" not in said,
        }
    high = found.get("high")
    words = ratio_text(found["ratio"], found["low"], float("inf") if high is None else high)
    doubt = "" if found["valid"] else " INVALID"
    return {
        "verdict": with_doubt(f"{found['kind']} {words} {found['reference']}{doubt}", is_value_valid=is_value_valid),
        "ratio": found["ratio"],
        "ratio_low": found["low"] or None,
        "ratio_high": high,
        "is_verdict_valid": bool(found["valid"]),
    }


def _relative_l2(verification: Iterable[Mapping[str, Any]], variant: str) -> float | None:
    """The largest relative error of a variant over all its signatures and outputs."""
    found = [
        float(output["relative_l2"])
        for entry in verification
        if entry.get("key") == variant
        for output in entry.get("outputs") or ()
        if isinstance(output, Mapping) and is_number(output.get("relative_l2"))
    ]
    return max(found, default=None)


def _rung(entry: Any) -> MeasuredRung | None:
    """None for what is no rung with a throughput and a latency."""
    if not isinstance(entry, Mapping):
        return None
    batch, rate, latency = entry.get("batch_size"), entry.get("items_per_second"), entry.get("latency_ms")
    if not isinstance(batch, int) or not is_number(rate) or not is_number(latency):
        return None
    valid = entry.get("validity") != "INVALID"
    return MeasuredRung(batch_size=batch, items_per_second=float(rate), latency_ms=float(latency), is_valid=valid)


def _figure(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    return float(value) if is_number(value) else None
