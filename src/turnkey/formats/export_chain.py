"""A live module as ONNX file, by the first exporter whose file agrees with it.

The chain: for each exporter, first with all dynamic axes, then with fewer, then static. A file counts only when ONNX
Runtime gets the module's outputs from it on the captured inputs and, with dynamic axes, at another size. Every try
is recorded with its outcome.

Trade-offs: the module runs a few more times (reference, another size) so that a wrong file is never the result; a
module whose own two runs differ cannot be checked, which is said.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

import onnx

from turnkey.errors import ConversionError, UsageError
from turnkey.formats import onnx_dynamo, onnx_torchscript
from turnkey.formats.dynamic_axes import STATIC, DynamicAxes, requested_axes
from turnkey.formats.export_attempt import ExportAttempt, attempts_table
from turnkey.formats.export_job import ExportJob
from turnkey.formats.export_plan import ExportPlan, plan_export, plan_static
from turnkey.formats.failure_text import one_line
from turnkey.formats.format import Conversion
from turnkey.formats.onnx_agreement import Agreement, Finding, judge_file
from turnkey.formats.onnx_export import OnnxExportSettings
from turnkey.formats.onnx_file import check_file, load_graph, load_model, opset_of, save_model
from turnkey.formats.onnx_naming import name_border, name_dimensions
from turnkey.formats.torch_call import tensors_for
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import evaluation_mode

_LOWEST_OPSET = 7
_LONGEST_CAUSE = 200
_OTHER_OPSET = "it wrote opset"
_WHATEVER_THE_AXES = ("GuardOnDataDependentSymNode", "UnsupportedOperatorError", _OTHER_OPSET)
"""Failures that fewer dynamic axes do not mend; another try would cost as much as the first."""
_EXPORTERS: dict[str, ModuleType] = {onnx_dynamo.NAME: onnx_dynamo, onnx_torchscript.NAME: onnx_torchscript}


def export_module(source: SourceModel, path: Path, settings: OnnxExportSettings) -> Conversion:
    """Export a live module to ``path``.

    Raises:
        UsageError: an opset that does not exist, or a dynamic axis that the model does not have.
        ModelError: the module fails on its own captured inputs.
        ConversionError: no exporter wrote a file that agrees; the evidence is the table of all tries.
    """
    _refuse_unknown_opset(settings.opset)
    wanted = requested_axes(source.samples.inputs[0], settings.dynamic)
    attempts: list[ExportAttempt] = []
    for plan, exporter, axes in _tries(source, settings, wanted):
        if any(a.exporter == exporter and a.reason.startswith(_WHATEVER_THE_AXES) for a in attempts):
            continue
        started = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="turnkey-export-") as scratch:
            written = Path(scratch) / "model.onnx"
            outcome, reason, notes = _try(exporter, plan, axes, written, settings.opset)
            if outcome == "chosen":
                save_model(load_model(written), path)
        seconds = round(time.perf_counter() - started, 3)
        label = axes.sentence() or "static"
        attempts.append(ExportAttempt(exporter=exporter, axes=label, outcome=outcome, reason=reason, seconds=seconds))
        if outcome == "chosen":
            return Conversion(
                path=path,
                exporter=exporter,
                notes=(*plan.notes, *notes, *_history_notes(attempts, plan, settings)),
                attempts=tuple(attempt.to_dict() for attempt in attempts),
                facts={"opset": settings.opset},
            )
    raise ConversionError(
        _what_happened(source, attempts),
        evidence=attempts_table([attempt.to_dict() for attempt in attempts]),
        remedy=_remedy(settings),
    )


def _tries(
    source: SourceModel, settings: OnnxExportSettings, wanted: DynamicAxes
) -> Iterator[tuple[ExportPlan, str, DynamicAxes]]:
    """What to try, in order; the module runs at other sizes only when that is asked for."""
    traced = settings.exporter == "fast" and not wanted and not source.data_dependent
    if traced:
        yield plan_static(source), onnx_torchscript.NAME, STATIC
    plan = plan_export(source, wanted=wanted)
    names = (settings.exporter,) if settings.exporter in _EXPORTERS else tuple(_EXPORTERS)
    if settings.exporter == "native" and settings.opset < onnx_dynamo.LOWEST_OPSET and plan.may_trace:
        names = names[::-1]
    for name in names:
        for axes in plan.axes:
            if not (traced and name == onnx_torchscript.NAME and axes == STATIC):  # that was the first try
                yield plan, name, axes


def _history_notes(attempts: Sequence[ExportAttempt], plan: ExportPlan, settings: OnnxExportSettings) -> list[str]:
    *before, chosen = attempts
    notes = [each.sentence for each in before]
    if chosen.axes != "static":
        notes.append(f"dynamic axes: {chosen.axes}")
    if not plan.may_trace and settings.exporter == "fast":
        notes.append("control flow depends on data: tracing refused, exported as with --exporter auto")
    if not plan.may_trace and chosen.exporter == onnx_torchscript.NAME:
        notes.append("control flow depends on data: the file holds the branches of the captured inputs alone")
    return notes


def _try(
    exporter: str, plan: ExportPlan, axes: DynamicAxes, path: Path, opset: int
) -> tuple[str, str, tuple[str, ...]]:
    """Outcome, reason and notes of one exporter with one set of axes."""
    try:
        with evaluation_mode(plan.call):
            job = ExportJob(
                call=plan.call,
                tensors=tensors_for(plan.call, plan.example(axes)),
                path=path,
                output_names=plan.output_names,
                opset=opset,
                axes=axes,
            )
            notes: tuple[str, ...] = _EXPORTERS[exporter].export(job)
        _finish(path, plan, axes, opset)
    except Exception as error:  # noqa: BLE001  exporters raise anything; it is what the table of attempts is about
        return "failed", _root_reason(error), ()
    finding = _judge(path, plan, axes)
    if finding.agreement is Agreement.DISAGREES:
        return "disagreed", finding.reason, ()
    if finding.reason:
        is_proven = finding.agreement is Agreement.AGREES
        notes = (*notes, finding.reason if is_proven else f"not proven: {finding.reason}")
    return "chosen", "", notes


def _finish(path: Path, plan: ExportPlan, axes: DynamicAxes, opset: int) -> None:
    """Give inputs and outputs their names, check the file, and refuse another opset than the one asked for."""
    model = load_graph(path)  # without its external data: only names change, and large weights stay where they are
    if opset_of(model) != opset:
        raise ConversionError(f"{_OTHER_OPSET} {opset_of(model)} instead of {opset}")
    name_border(model.graph, input_names=plan.call.input_names, output_names=plan.output_names)
    name_dimensions(model.graph, plan.output_shapes(axes))
    path.write_bytes(model.SerializeToString())
    check_file(path)


def _judge(path: Path, plan: ExportPlan, axes: DynamicAxes) -> Finding:
    captured = plan.captured
    references = [each.outputs for each in captured]
    finding = judge_file(path, [each.inputs for each in captured], references, excuse=plan.excused)
    if finding.agreement is Agreement.DISAGREES and not plan.is_repeatable():
        return Finding(agreement=Agreement.UNPROVEN, reason="two runs of the module itself differ")
    if finding.agreement is not Agreement.AGREES:
        return finding
    for other in plan.other_sizes(axes):
        resized = judge_file(path, [other.inputs], [other.outputs], excuse=plan.excused)
        if resized.agreement is Agreement.DISAGREES:
            sizes = ", ".join(f"{symbol}={extent}" for symbol, extent in axes.extents(other.inputs).items())
            return Finding(agreement=resized.agreement, reason=f"at {sizes}: {resized.reason}")
    return finding


def _refuse_unknown_opset(opset: int) -> None:
    highest = onnx.defs.onnx_opset_version()
    if not _LOWEST_OPSET <= opset <= highest:
        raise UsageError(
            f"there is no opset {opset} to export to",
            evidence=f"the installed onnx knows opsets {_LOWEST_OPSET} to {highest}",
            remedy="--opset 20",
        )


def _what_happened(source: SourceModel, attempts: Sequence[ExportAttempt]) -> str:
    """With the cause in it, since that is what failures of many models are sorted by; names stand in quotes."""
    wrong = next((attempt for attempt in attempts if attempt.outcome == "disagreed"), None)
    if wrong is not None:
        reason = one_line(wrong.reason, limit=_LONGEST_CAUSE)
        return f"no file that an exporter wrote agrees with '{source.class_name}': {wrong.exporter}: {reason}"
    failed = next((attempt for attempt in attempts if attempt.exporter == onnx_dynamo.NAME), attempts[0])
    reason = one_line(failed.reason, limit=_LONGEST_CAUSE)
    return f"no exporter could write '{source.class_name}' as ONNX: {failed.exporter}: {reason}"


def _remedy(settings: OnnxExportSettings) -> str:
    if settings.exporter in _EXPORTERS:
        return "try both exporters: export-pytorch --exporter auto"
    if settings.dynamic:
        return "leave --dynamic out; the log of export-pytorch has what torch said"
    return "try another opset, such as --opset 18; the log of export-pytorch has what torch said"


def _root_reason(error: BaseException) -> str:
    """What really went wrong: exporters wrap it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)
