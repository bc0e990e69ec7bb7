"""What a report says of one model: its candidates, plots, verification, cold start, validity, environment."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.measure import LoadResult
from turnkey.pipeline.failure import FAILED
from turnkey.report.candidate_row import CandidateRow, candidate_rows
from turnkey.report.failures import conversion_message, failed_tool, message
from turnkey.report.figure import NONE, is_number, number, size
from turnkey.report.model_plots import Plot, model_plots
from turnkey.report.recorded import Recorded, read_records, verdicts
from turnkey.report.source import ReportedBuild

_ENVIRONMENT = (
    *("processor", "physical_cores", "affinity_cpus", "cpu_quota", "fair_threads", "memory_bytes", "os"),
    *("governor", "turbo_off", "virtualisation", "python"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSection:
    """One model, ready to be shown. Texts are plain; the page escapes them.

    Attributes:
        anchor: of the page, made by us.
        failure: the failed tool and its message; empty if nothing failed.
        log: of the failure.
        facts, environment: name and value.
        verified: of the whole build, one word; a candidate has its own.
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
    verified: str
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
    kinds = ("record", "load_record")
    names = [str(entry[kind]) for entry in build.measurements for kind in kinds if entry.get(kind)]
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
        plots=tuple(model_plots(rows, recorded, with_samples=with_samples)),
        facts=tuple(_facts(build)),
        conversions=tuple(_conversions(build.conversions)),
        verification=tuple(_verification(build.verification)),
        validity=tuple(_validity(rows, recorded)),
        environment=tuple(_environment(build, recorded)),
        verified=str(build.statistics.get("verify_status") or NONE),
        failure=f"{failed_tool(build)}: {message(build)}" if build.status in FAILED else "",
        log=log if build.status in FAILED else "",
    )


def _sentences(build: ReportedBuild, rows: Sequence[CandidateRow], loads: Sequence[LoadResult]) -> Iterable[str]:
    recommendation = build.statistics.get("recommendation")
    if recommendation:
        yield f"{str(recommendation)[:1].upper()}{str(recommendation)[1:]}."
    for row in rows:
        if row.ratio is not None:
            yield f"{row.key}: {row.verdict}."
        if row.curve_sentence:
            yield f"{row.curve_sentence}."
    for load in loads:
        yield f"{load.sentence()}."
    if build.status != "successful":
        yield f"{build.status}: {message(build)}."


def _facts(build: ReportedBuild) -> Iterable[tuple[str, str]]:
    found = build.statistics
    keys = ("class", "hash", "parameters", "exporter", "opset", "onnx_total_flops", "verify_status")
    if found.get("input"):
        yield "input", Path(str(found["input"])).name  # a page goes to others: where it lay is in the CSV
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
