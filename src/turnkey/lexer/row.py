"""One row of a benchmark: one engine's results, in the documented columns and in ours.

The first fifteen fields are Lexer's, in its order; the others follow after them. All times are milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from turnkey.lexer.onnx_export import ExportResult
from turnkey.measure import CandidateSummary, Record, statistics
from turnkey.measure.statistics import Floats
from turnkey.model.samples import Sample

COLUMNS = (
    *("num_samples", "variance", "mean_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "throughput_per_sec"),
    *("engine", "version", "batch_size", "optimizer", "providers", "device", "timestamp"),
    *("std_ms", "min_ms", "max_ms", "first_call_ms", "load_ms", "warmup_calls", "threads", "run", "class_name"),
    *("validation", "max_abs_error", "max_rel_error", "valid", "notes"),
    *("latency_ms", "low_ms", "high_ms", "verdict", "inputs"),
)
"""Of the CSV file. The first 15 are those of the original, ten of them documented."""

PRINTED_ENGINES = {"onnxruntime": "ONNXRuntime", "torch": "Torch"}
PRINTED_DEVICES = {"cpu": "CPU", "cuda": "GPU"}
_PERCENTILES = (50, 90, 95, 99)
_ON_PROCESSOR = "CPUExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkRow:
    """One engine of one run. Iterating yields the raw samples, milliseconds, in time order.

    Attributes:
        variance: population variance of the samples, ms²; ``std_ms`` is its root.
        p50_ms … p99_ms: linear interpolation between order statistics, whatever the number of samples.
        throughput_per_sec: data points per second: ``batch_size * 1000 / mean_ms``.
        timestamp: end of this row's measurement, UTC.
        latency_ms, low_ms, high_ms: the engine's estimate with its 95 % interval.
        verdict: against the reference, in words; empty for the reference itself.
        inputs: names and shapes: ``x[2,4] mask[2]``; empty where that was not recorded.
        reasons: why the row is not valid, with what to do; also in ``notes``.
        units: logs of nanoseconds, one per pass of one process or per round of several: what comparisons rest on.
    """

    num_samples: int
    variance: float
    mean_ms: float
    p50_ms: float
    p90_ms: float
    p95_ms: float
    p99_ms: float
    throughput_per_sec: float
    engine: str
    version: str
    batch_size: int
    optimizer: str
    providers: str
    device: str
    timestamp: str
    std_ms: float
    min_ms: float | None = None
    max_ms: float | None = None
    first_call_ms: float | None = None
    load_ms: float | None = None
    warmup_calls: int = 0
    threads: int | None = None
    run: int = 1
    class_name: str = ""
    validation: str = "off"
    max_abs_error: float | None = None
    max_rel_error: float | None = None
    valid: bool = True
    notes: str = ""
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    verdict: str = ""
    inputs: str = ""
    reasons: tuple[str, ...] = field(default=(), repr=False)
    units: tuple[float, ...] = field(default=(), repr=False)
    samples_ms: tuple[float, ...] = field(default=(), repr=False)

    def __iter__(self) -> Iterator[float]:
        return iter(self.samples_ms)

    def __len__(self) -> int:
        return len(self.samples_ms)

    def __bool__(self) -> bool:
        return True  # a row that was read from a file has no samples, and is one

    @property
    def why_invalid(self) -> tuple[str, ...]:
        """Its reasons, or, where a file keeps them in other words than ours, its notes; empty if it is valid."""
        return () if self.valid else self.reasons or (self.notes or "no reason is recorded",)

    def to_dict(self) -> dict[str, Any]:
        """The columns of the CSV file; raw samples are those of the iteration."""
        return {name: getattr(self, name) for name in COLUMNS}


def metrics(samples_ms: Sequence[float] | Floats, *, batch_size: int) -> dict[str, Any]:
    """The documented numbers of some latencies.

    10, 20, 30, 40 ms with batch 4: mean 25, variance 125, p50 25, p90 37, p95 38.5, p99 39.7, throughput 160.
    """
    times = np.asarray(samples_ms, dtype=np.float64)
    mean = float(times.mean())
    variance = statistics.population_variance(times)
    return {
        "num_samples": len(times),
        "variance": variance,
        "mean_ms": mean,
        **{f"p{q}_ms": statistics.linear_quantile(times, q / 100) for q in _PERCENTILES},
        "throughput_per_sec": batch_size * 1000 / mean,
        "std_ms": math.sqrt(variance),
        "min_ms": float(times.min()),
        "max_ms": float(times.max()),
    }


def row_of(
    record: Record,
    key: str,
    *,
    engine: str,
    device: str,
    batch_size: int,
    run: int,
    class_name: str,
    inputs: Sample,
    export: ExportResult | None,
    notes: Sequence[str],
) -> BenchmarkRow:
    """The row of one measured candidate.

    Args:
        device: that was asked for.
    """
    summary = record.summary(key)
    slices = [item for _, items in sorted(record.timed[key].items()) for item in items]
    samples = statistics.call_times(slices) / 1e6
    verdict = record.verdict(key)
    said = [*notes, *_few(len(samples)), *summary.reasons, *summary.notes]
    if verdict is not None:
        said += verdict.notes
    return BenchmarkRow(
        **metrics(samples, batch_size=batch_size),
        engine=engine,
        version=str(summary.facts.get("runtime_version") or ""),
        batch_size=batch_size,
        optimizer=_optimizer(engine, summary),
        providers=_providers(engine, summary),
        device=_device(device, summary),
        timestamp=_utc(slices[-1].t0 + (slices[-1].settle or 0) + sum(slices[-1].ns)),
        first_call_ms=summary.first_ms,
        load_ms=summary.load_ms,
        warmup_calls=sum(len(i.ns) for i in record.slices if i.v == key and i.kind in ("warm", "calibration")),
        threads=summary.threads,
        run=run,
        class_name=class_name,
        validation="off" if export is None else export.validation,
        max_abs_error=None if export is None else export.max_abs_error,
        max_rel_error=None if export is None else export.max_rel_error,
        valid=summary.validity == "VALID",
        notes=notes_text(said),
        latency_ms=summary.latency_ms,
        low_ms=summary.low_ms,
        high_ms=summary.high_ms,
        verdict="" if verdict is None else f"{verdict} {verdict.reference}",
        inputs=shapes_text(inputs),
        reasons=summary.reasons,
        units=record.replicates(key),
        samples_ms=tuple(samples.tolist()),
    )


def shapes_text(inputs: Sample) -> str:
    """``x[2,4] mask[2]``."""
    return " ".join(f"{name}[{','.join(map(str, array.shape))}]" for name, array in inputs.items())


def notes_text(said: Sequence[str]) -> str:
    """Each note once; one that another goes on from, with what to do, is not said apart."""
    different = list(dict.fromkeys(said))
    return "; ".join(note for note in different if not any(other.startswith(f"{note}; ") for other in different))


def _few(count: int) -> list[str]:
    """A percentile of too few samples is a number all the same, as documented, and is said to be one."""
    wanted = {f"p{q}": statistics.fewest_for_quantile(q / 100) for q in _PERCENTILES}
    short = [f"{name} ({least})" for name, least in wanted.items() if count < least]
    return [f"too few samples ({count}) for an interval of {', '.join(short)}"] if short else []


def _optimizer(engine: str, summary: CandidateSummary) -> str:
    options: Mapping[str, Any] = summary.facts.get("options") or {}
    if engine == "torch":
        return "none"
    if engine == "onnxruntime":
        return str(options.get("graph_optimization_level", "all"))
    return str(summary.facts.get("backend") or "default")


def _providers(engine: str, summary: CandidateSummary) -> str:
    if engine == "torch":
        return "eager"
    used = summary.facts.get("providers")
    return ";".join(used) if isinstance(used, list | tuple) else ""


def _device(asked: str, summary: CandidateSummary) -> str:
    """Where it really ran: ``cuda`` for ``cuda:1``, and the processor where ONNX Runtime put every node there."""
    if str(summary.facts.get("device") or asked) == "cpu":
        return "cpu"
    used = [*(summary.facts.get("placement") or ())] or [*(summary.facts.get("providers") or ())]
    return "cpu" if set(used) == {_ON_PROCESSOR} else asked.partition(":")[0]


def _utc(monotonic_ns: int) -> str:
    """A point of the host's monotonic clock as UTC, ISO-8601."""
    import time

    ago = timedelta(microseconds=(time.monotonic_ns() - monotonic_ns) / 1000)
    return (datetime.now(UTC) - ago).isoformat()
