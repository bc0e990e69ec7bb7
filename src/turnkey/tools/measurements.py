"""What a benchmark leaves in the state: one entry per candidate, and the performance keys of the statistics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.errors import from_dict
from turnkey.report.entry import figures_of
from turnkey.tools.candidates import LIVE

if TYPE_CHECKING:
    from turnkey.measure import Record
    from turnkey.pipeline.state import State
    from turnkey.tools.candidates import Candidate
    from turnkey.tools.recommendation import Recommendation


_CHECKED = {
    "unverified": "unverified: the outputs of the model prove nothing",
    "not checked": "not checked: the outputs of the model are not known",
    "invalid": "invalid: its outputs differ from the model's",
}


def verification_of(state: State, candidate: Candidate, record: Record) -> str:
    """``valid``, or in words why the candidate does not count as verified."""
    if _is_source(candidate):
        return "valid"  # a wrong output would be a reason of validity
    if candidate.variant is None:
        checked = str(record.summary(candidate.key).facts.get("verification", "not checked"))
        return _CHECKED.get(checked, checked)
    mine = [entry for entry in state.verification if entry.get("key") == candidate.variant.key]
    if not mine:
        return f"{candidate.variant.key} is not verified: put verify before benchmark"
    failed = next((entry for entry in mine if entry["verdict"] == "invalid"), mine[0])
    if failed["verdict"] == "valid":
        return "valid"
    return f"{candidate.variant.key} is {failed['verdict']}: {failed['reason']}"


def _is_source(candidate: Candidate) -> bool:
    """Whether it is the source model itself."""
    return candidate.variant is None and candidate.runtime.name in LIVE and not candidate.options


def loss_of(state: State, candidate: Candidate) -> str:
    """What a candidate of another precision than the model's loses, in words; empty for one of the same."""
    if candidate.precision is None:
        return ""
    told = []
    for measure, words in (("relative_l2", "relative L2"), ("max_abs", "largest error")):
        values = _seen(state, candidate, measure)
        told += [f"{words} {max(values):.2g}"] if values else []
    numbers = ", ".join(told) if told else "how far its outputs are off was not kept"
    return f"{candidate.precision}: {numbers}"


def error_of(state: State, candidate: Candidate) -> float:
    """Largest relative L2 error of any output of its variant; 0 for the model itself, infinite where not known."""
    if _is_source(candidate):
        return 0.0
    return max(_seen(state, candidate, "relative_l2"), default=math.inf)


def _seen(state: State, candidate: Candidate, measure: str) -> list[float]:
    """What verification saw of one measure, over all signatures and outputs of its variant."""
    key = None if candidate.variant is None else candidate.variant.key
    mine = [entry for entry in state.verification if key is not None and entry.get("key") == key]
    return [output[measure] for entry in mine for output in entry.get("outputs", ()) if measure in output]


def measurement_entry(
    candidate: Candidate, record: Record, *, batch: int, size_bytes: int, verification: str, path: str
) -> dict[str, Any]:
    """One candidate as plain data for the state."""
    error = record.summary(candidate.key).error
    verdict = record.verdict(candidate.key)
    fields: Mapping[str, Any] = {
        "key": candidate.key,
        "variant": None if candidate.variant is None else candidate.variant.key,
        "runtime": candidate.runtime.name,
        "device_type": candidate.device,
        "batch_size": batch,
        **figures_of(record, candidate.key, batch=batch),
        "windows": _windows(record, candidate.key),
        "size_bytes": size_bytes,
        "verdict": None if verdict is None else f"{verdict} {verdict.reference}",
        "verification": verification,
        "record": path,
        "error": None if error is None else str(from_dict(dict(error))),
    }
    return {key: value for key, value in fields.items() if value is not None}


def _windows(record: Record, key: str) -> dict[str, Any] | None:
    """The window rule on the same calls: whether three windows of 50 in a row agree, and from which on."""
    if key not in record.measured:
        return None
    found = record.windows(key)
    return {"trials": found.trials, "stable": found.stable, "stable_at": found.stable_at}


def with_performance_statistics(state: State, entry: Mapping[str, Any], choice: Recommendation) -> State:
    """The performance keys: of the chosen candidate, else of the last one measured."""
    from turnkey.host import processor

    compile_ms = entry.get("compile_ms")
    # The centre to which the interval belongs; the median of all calls is p50_ms in the measurements.
    names = ("latency_ms", "latency_low_ms", "latency_high_ms")
    if entry.get("objective", "median") != "median":
        names = ("median_ms", "", "")  # the interval is of another statistic
    median, low, high = (entry.get(name) for name in names)
    return state.with_statistics(
        device=processor() if entry["device_type"] == "cpu" else entry["device_type"],
        device_type=entry["device_type"],
        runtime=entry["runtime"],
        runtime_version=entry.get("runtime_version"),
        iterations=entry["timed_calls"],
        mean_latency=entry.get("mean_ms"),
        mean_latency_units="milliseconds (ms)",
        throughput=entry.get("throughput_items_per_second"),
        throughput_units="inferences per second (IPS)",
        median_latency_ms=median,
        latency_low_ms=low,
        latency_high_ms=high,
        torch_compilation_seconds=None if compile_ms is None else compile_ms / 1000,
        load_ms=entry.get("load_ms"),
        first_call_ms=entry.get("first_call_ms"),
        peak_memory_bytes=entry.get("peak_memory_bytes"),
        cpu_ms_per_call=entry.get("cpu_ms"),
        joules_per_call=entry.get("joules_per_call"),
        break_even_calls=entry.get("break_even_calls"),
        validity=entry["validity"],
        verdict=entry.get("verdict"),
        record=entry["record"],
        recommendation=choice.sentence,
    )
