"""What a report says of one model: its candidates, plots, verification, cold start, validity, environment."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.measure import LoadResult, Record
from turnkey.report.candidate_row import CandidateRow, candidate_rows
from turnkey.report.failures import FAILED, conversion_message, failed_tool, message
from turnkey.report.figure import NONE, is_number, number, size
from turnkey.report.plots import Curve, curve_plot, interval_plot, scatter_plot, stacked_plot
from turnkey.report.recorded import Recorded, read_records, slice_points, verdicts, warm_up_points
from turnkey.report.source import ReportedBuild

_CALLS = tuple(10.0**power for power in range(7))
_ENVIRONMENT = (
    *("processor", "physical_cores", "affinity_cpus", "cpu_quota", "fair_threads", "memory_bytes", "os", "kernel"),
    *("governor", "turbo_off", "virtualisation", "python"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing with what it shows; ``svg`` is markup that `turnkey.report.svg` made."""

    title: str
    svg: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """One model, ready to be shown. Texts are plain; the page escapes them.

    Attributes:
        anchor: of the page, made by us.
        failure: the failed tool and its message; empty if nothing failed.
        log: of the failure.
        facts, environment: name and value.
        conversions: rows of format, variant, outcome, seconds and why it failed.
        verification: rows of origin, variant, verdict, samples, errors.
        validity: what must not be used, and what the measurement notes.
    """

    title: str
    anchor: str
    status: str
    sentences: tuple[str, ...]
    candidates: tuple[CandidateRow, ...]
    plots: tuple[Plot, ...]
    facts: tuple[tuple[str, str], ...]
    conversions: tuple[tuple[str, ...], ...]
    verification: tuple[tuple[str, ...], ...]
    validity: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    failure: str
    log: str

    @property
    def tone(self) -> str:
        """Class of its status: ``good``, ``bad`` or ``idle``."""
        return "good" if self.status == "successful" else "bad" if self.status in FAILED else "idle"

    @property
    def chosen(self) -> CandidateRow | None:
        return next((row for row in self.candidates if row.is_chosen), None)


def model_section(build: ReportedBuild, *, title: str, anchor: str, with_samples: bool) -> ModelSection:
    """All of one build.

    Args:
        with_samples: draw warm-up and timed calls too, a plot each.
    """
    names = [str(entry["record"]) for entry in build.measurements if entry.get("record")]
    recorded = read_records(build.paths.directory, names, with_samples=with_samples)
    known: dict[str, Mapping[str, Any]] = {}
    for record in recorded.records.values():
        known |= verdicts(record)
    rows = candidate_rows(build, known)
    log = str(build.statistics.get("error_log") or "")
    return ModelSection(
        title=title,
        anchor=anchor,
        status=build.status,
        sentences=tuple(_sentences(build, rows, recorded.loads)),
        candidates=rows,
        plots=tuple(_plots(rows, recorded, with_samples=with_samples)),
        facts=tuple(_facts(build)),
        conversions=tuple(_conversions(build.conversions)),
        verification=tuple(_verification(build.verification)),
        validity=tuple(_validity(rows, recorded)),
        environment=tuple(_environment(build, recorded)),
        failure=f"{failed_tool(build)}: {message(build)}" if build.status in FAILED else "",
        log=log if build.status in FAILED else "",
    )


def _sentences(build: ReportedBuild, rows: Sequence[CandidateRow], loads: Sequence[LoadResult]) -> Iterable[str]:
    recommendation = build.statistics.get("recommendation")
    if recommendation:
        yield f"{str(recommendation)[:1].upper()}{str(recommendation)[1:]}."
    for row in rows:
        if row.ratio is not None:
            spoilt = "" if row.is_verdict_valid else " (INVALID)"
            yield f"{row.key}: {row.verdict}{spoilt}."
    for load in loads:
        yield f"{load.sentence()}."
    if build.status != "successful":
        yield f"{build.status}: {message(build)}."


def _plots(rows: Sequence[CandidateRow], recorded: Recorded, *, with_samples: bool) -> Iterable[Plot]:
    bars = [bar for row in rows if (bar := row.bar()) is not None]
    if bars:
        svg = interval_plot(bars, title="Latency of each candidate with its interval", label="latency, ms")
        yield Plot(title="Latency", svg=svg, note="Bars are 95 % intervals; hollow marks are INVALID.")
    yield from _costs(rows)
    yield from _curves(rows, recorded.loads)
    yield from _starts(rows)
    for record in recorded.records.values() if with_samples else ():
        yield from _samples(record, rows)


def _costs(rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    """Latency against memory, size and error, where more than one candidate has them."""
    costs: tuple[tuple[str, Callable[[CandidateRow], float | None], float], ...] = (
        ("peak memory, MiB", lambda row: row.figure("peak_memory_bytes"), 1 / 2**20),
        ("size, MiB", lambda row: row.figure("size_bytes"), 1 / 2**20),
        ("relative error", lambda row: row.relative_l2, 1.0),
    )
    for label, cost, unit in costs:
        marks = [
            (bar, value * unit, row.is_unbeaten)
            for row in rows
            if (bar := row.bar()) is not None and (value := cost(row))
        ]
        if len(marks) > 1:
            title = f"Latency against {label.partition(',')[0]}"
            svg = scatter_plot(marks, title=title, x_label="latency, ms", y_label=label)
            note = "Filled marks: nothing is as good in latency, memory, size and error and better in one."
            yield Plot(title=title, svg=svg, note=note)


def _curves(rows: Sequence[CandidateRow], loads: Sequence[LoadResult]) -> Iterable[Plot]:
    """Latency over throughput, with the batch size or the number of clients at each point."""
    groups: dict[tuple[str, str, str], dict[int, tuple[float, float]]] = {}
    for row in rows:
        batch, rate = row.entry.get("batch_size"), row.figure("throughput_items_per_second")
        if isinstance(batch, int) and rate is not None and row.latency_ms is not None:
            name = (str(row.entry.get("variant")), row.runtime, str(row.entry.get("threads")))
            groups.setdefault(name, {})[batch] = (rate, row.latency_ms)
    climbed = {name: points for name, points in groups.items() if len(points) > 1}
    if climbed:
        curves = [
            Curve(
                label=f"{name[0]} @ {name[1]}",
                index=index,
                points=[points[batch] for batch in sorted(points)],
                marks=[str(batch) for batch in sorted(points)],
            )
            for index, (name, points) in enumerate(climbed.items())
        ]
        yield _throughput_plot(curves, "Latency and throughput over batch sizes", "Numbers are batch sizes.")
    closed = [load for load in loads if load.shape.kind == "concurrency"]
    if closed:
        curves = [
            Curve(
                label=load.key,
                index=index,
                points=[(trial.throughput_per_s, _residence_ms(trial)) for trial in load.trials],
                marks=[str(trial.clients) for trial in load.trials],
            )
            for index, load in enumerate(closed)
        ]
        yield _throughput_plot(curves, "Latency and throughput over clients", "Numbers are concurrent clients.")


def _throughput_plot(curves: Sequence[Curve], title: str, note: str) -> Plot:
    svg = curve_plot(curves, title=title, x_label="items per second", y_label="latency, ms")
    return Plot(title=title, svg=svg, note=f"{note} {', '.join(curve.label for curve in curves)}.")


def _residence_ms(trial: Any) -> float:
    """Median latency of a closed loop, else its mean by Little's law."""
    if trial.p50_ms is not None:
        return float(trial.p50_ms)
    return 1000 * float(trial.in_flight or trial.clients or 1) / max(float(trial.throughput_per_s), 1e-9)


def _starts(rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    started = [(row.key, row.cold_start) for row in rows if row.cold_start]
    if not started:
        return
    svg = stacked_plot(started, title="Cold start of each candidate", label="milliseconds to the first answer")
    yield Plot(title="Cold start", svg=svg, note="Import, load, compile, first call, one after another, ever darker.")
    timed = [row for row in rows if row.cold_start and row.latency_ms]
    if len(timed) > 1:
        curves = [
            Curve(
                label=row.key,
                index=row.index,
                points=[
                    (calls, (math.fsum(value for _, value in row.cold_start) + calls * (row.latency_ms or 0)) / 1e3)
                    for calls in _CALLS
                ],
            )
            for row in timed
        ]
        svg = curve_plot(curves, title="Total time over calls", x_label="calls", y_label="seconds with start")
        yield Plot(title="Break-even", svg=svg, note=_break_even(timed))


def _break_even(rows: Sequence[CandidateRow]) -> str:
    said = []
    for row in rows:
        calls = row.figure("break_even_calls")
        if calls is not None and row.ratio is not None:
            when = "from the first call" if calls == 0 else f"after {calls:,.0f} calls"
            said.append(f"{row.key} pays back its start {when}")
    return ("; ".join(said) + ".") if said else "Where lines cross, the later start is paid back."


def _samples(record: Record, rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    shown = [row for row in rows if row.key in record.keys]
    timed = [Curve(label=row.key, index=row.index, points=slice_points(record, row.key)) for row in shown]
    timed = [curve for curve in timed if curve.points]
    if timed:
        svg = curve_plot(
            timed, title="Timed slices in time order", x_label="seconds", y_label="ms per call", joined=False
        )
        note = f"Each dot is the median of one slice; {', '.join(curve.label for curve in timed)} take turns."
        yield Plot(title="Timed calls", svg=svg, note=note)
    warm = [Curve(label=row.key, index=row.index, points=warm_up_points(record, row.key)) for row in shown]
    warm = [curve for curve in warm if curve.points]
    if warm:
        svg = curve_plot(warm, title="Warm-up calls", x_label="number of the call", y_label="ms per call")
        steady = [f"{row.key} {row.entry['calls_to_steady']}" for row in shown if row.entry.get("calls_to_steady")]
        note = f"Calls to steady: {', '.join(steady)}." if steady else "The first calls of one process each."
        yield Plot(title="Warm-up", svg=svg, note=note)


def _facts(build: ReportedBuild) -> Iterable[tuple[str, str]]:
    found = build.statistics
    keys = ("class", "hash", "parameters", "exporter", "opset", "onnx_total_flops", "verify_status", "input")
    for key in keys:
        value = found.get(key)
        if value is not None and value != "":
            yield key.replace("_", " "), f"{value:,}" if is_number(value) else str(value)
    for key, values in build.labels.items():
        yield f"label {key}", ", ".join(map(str, values))
    for variant in build.variants:
        yield f"variant {variant.key}", f"{size(variant.size_bytes)}, by {variant.exporter or NONE}"


def _conversions(entries: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    for entry in entries:
        texts = (str(entry.get(name, NONE)) for name in ("format", "key", "outcome"))
        yield (*texts, number(entry.get("seconds")), conversion_message(entry))


def _verification(entries: Iterable[Mapping[str, Any]]) -> Iterable[tuple[str, ...]]:
    for entry in entries:
        outputs = [output for output in entry.get("outputs") or () if isinstance(output, Mapping)]
        worst = [
            max((float(output[name]) for output in outputs if is_number(output.get(name))), default=None)
            for name in ("max_abs", "max_rel", "relative_l2")
        ]
        yield (
            str(entry.get("key", NONE)),
            str(entry.get("origin", NONE)),
            str(entry.get("samples", NONE)),
            str(entry.get("verdict", NONE)),
            *(NONE if value is None else f"{value:.1e}" for value in worst),
            str(entry.get("reason") or entry.get("first_divergent_layer") or ""),
        )


def _validity(rows: Sequence[CandidateRow], recorded: Recorded) -> Iterable[str]:
    said: dict[str, None] = {}
    for row in rows:
        said |= dict.fromkeys(f"INVALID, {row.key}: {reason}" for reason in row.reasons)
        said |= dict.fromkeys(f"note, {row.key}: {note}" for note in row.entry.get("notes") or ())
    said |= dict.fromkeys(f"record not readable: {text}" for text in recorded.unreadable)
    for load in recorded.loads:
        said |= dict.fromkeys(f"INVALID, {load.key} under load: {reason}" for reason in load.reasons)
    for record in recorded.records.values():
        floor = record.run["looks"][-1]["floor"] if record.run.get("looks") else None
        if is_number(floor):
            said[f"noise floor (the reference against its twin): {100 * math.expm1(floor):.2g} %"] = None
    return said


def _environment(build: ReportedBuild, recorded: Recorded) -> Iterable[tuple[str, str]]:
    for record in recorded.records.values():
        run = record.run
        yield "measured", f"{run.get('utc', NONE)}, {len(run['rounds'])} rounds, effort {record.settings.effort}"
        yield "threads", ", ".join(sorted({str(entry.get("threads")) for entry in run["variants"]}))
        break
    found: Mapping[str, Any] = next((record.run["environment"] for record in recorded.records.values()), {})
    found = found or build.statistics.get("system_info") or {}
    for key in _ENVIRONMENT:
        value = found.get(key)
        if value is not None:
            shown = size(value) if key.endswith("bytes") else number(value) if isinstance(value, float) else str(value)
            yield key.removesuffix("_bytes").replace("_", " "), shown
