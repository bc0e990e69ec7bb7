"""Format ``onnx``: a live module exported by the first exporter whose file agrees with it.

The chain: for each exporter, first with all dynamic axes, then with fewer, then static. A file counts only when ONNX
Runtime gets the module's outputs from it on the captured inputs and, with dynamic axes, at another size. Every try
is recorded with its outcome.

Trade-offs: the module runs a few more times (reference, repetition, another size) so that a wrong file is never
the result; a module whose own two runs differ cannot be checked, which is said.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from turnkey.errors import ConversionError, InputError, UsageError
from turnkey.formats import onnx_dynamo, onnx_torchscript
from turnkey.formats.dynamic_axes import DynamicAxes, requested_axes
from turnkey.formats.export_plan import ExportPlan, plan_export
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_agreement import Agreement, Finding, judge_file, one_line
from turnkey.formats.onnx_file import check_file, load_graph, load_model, opset_of, save_model
from turnkey.formats.onnx_naming import name_border, name_dimensions
from turnkey.formats.torch_call import tensors_for
from turnkey.model.torch_bridge import evaluation_mode

_LOWEST_OPSET = 7
_EXPORTERS: dict[str, ModuleType] = {onnx_dynamo.NAME: onnx_dynamo, onnx_torchscript.NAME: onnx_torchscript}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExportSettings:
    """How to export.

    Attributes:
        opset: of the standard operators.
        exporter: ``auto`` (dynamo, then torchscript), ``dynamo``, ``torchscript``, or ``fast`` (torchscript first
            and static, where tracing is sound).
        dynamic: axes that the user wants to vary: (input, axis).
    """

    opset: int
    exporter: str = "auto"
    dynamic: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One try of one exporter: ``chosen``, ``failed`` (to write a file) or ``disagreed`` (its file did)."""

    exporter: str
    axes: str
    outcome: str
    reason: str
    seconds: float


class OnnxExport:
    """The format ``onnx`` made from a live module."""

    name = "onnx"
    stored_as = "onnx"
    converts_from = ("torch",)
    suffix = ".onnx"
    requires = ("torch", "onnx", "onnxscript", "onnxruntime")
    install = "pip install onnx onnxscript onnxruntime"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Export ``request.source`` to ``request.path``; settings are `OnnxExportSettings`.

        Raises:
            UsageError: an opset that does not exist, or a dynamic axis that the model does not have.
            ModelError: the module fails on its own captured inputs.
            ConversionError: no exporter wrote a file that agrees; the evidence is the table of all tries.
        """
        source, settings = request.source, request.settings
        if source is None or source.module is None:
            raise ConversionError(
                "there is no live model to export", remedy="start with: turnkey -i SCRIPT.py discover export-pytorch"
            )
        _refuse_unknown_opset(settings.opset)
        wanted = requested_axes(source.samples.inputs[0], settings.dynamic)
        plan = plan_export(source, wanted=wanted)
        notes = list(plan.notes)
        if settings.exporter == "fast" and not plan.may_trace:
            notes.append("control flow depends on data: tracing refused, exported as with --exporter auto")
        attempts: list[Attempt] = []
        for exporter, axes in _tries(settings.exporter, plan, wanted):
            started = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="turnkey-export-") as scratch:
                written = Path(scratch) / "model.onnx"
                outcome, reason, said = _try(exporter, plan, axes, written, settings.opset)
                if outcome == "chosen":
                    save_model(load_model(written), request.path)
            seconds = round(time.perf_counter() - started, 3)
            label = axes.sentence() or "static"
            attempts.append(Attempt(exporter=exporter, axes=label, outcome=outcome, reason=reason, seconds=seconds))
            if outcome == "chosen":
                notes += [*said, *(f"{a.exporter} ({a.axes}) {a.outcome}: {a.reason}" for a in attempts[:-1])]
                notes += [f"dynamic axes: {label}"] if axes else []
                if exporter == onnx_torchscript.NAME and not plan.may_trace:
                    notes.append(
                        "control flow depends on data: the file holds the branches of the captured inputs alone"
                    )
                return Conversion(
                    path=request.path,
                    exporter=exporter,
                    notes=tuple(notes),
                    attempts=tuple(asdict(attempt) for attempt in attempts),
                    facts={"opset": settings.opset},
                )
        raise ConversionError(
            f"no exporter could write {source.class_name} as ONNX",
            evidence=attempts_table([asdict(attempt) for attempt in attempts]),
            remedy=_remedy(settings),
        )


FORMAT = OnnxExport()


def attempts_table(attempts: Sequence[Mapping[str, Any]]) -> str:
    """Who was tried, with which axes, and what became of it; one line each (`Conversion.attempts`)."""
    columns = ("exporter", "outcome", "seconds", "axes", "reason")
    rows = [columns, *(tuple(str(attempt[column]) for column in columns) for attempt in attempts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )


def _tries(exporter: str, plan: ExportPlan, wanted: DynamicAxes) -> tuple[tuple[str, DynamicAxes], ...]:
    if exporter in _EXPORTERS:
        return tuple((exporter, axes) for axes in plan.axes)
    chain = tuple((name, axes) for name in _EXPORTERS for axes in plan.axes)
    if exporter == "fast" and plan.may_trace:
        first = (onnx_torchscript.NAME, wanted)
        return (first, *(each for each in chain if each != first))
    return chain


def _try(
    exporter: str, plan: ExportPlan, axes: DynamicAxes, path: Path, opset: int
) -> tuple[str, str, tuple[str, ...]]:
    """Outcome, reason and notes of one exporter with one set of axes."""
    try:
        with evaluation_mode(plan.call):
            notes: tuple[str, ...] = _EXPORTERS[exporter].export(
                plan.call,
                tensors_for(plan.call, plan.example(axes)),
                path=path,
                output_names=plan.output_names,
                opset=opset,
                axes=axes,
            )
        _finish(path, plan, axes, opset)
    except Exception as error:  # noqa: BLE001  exporters raise anything; it is what the table of attempts is about
        return "failed", _root_reason(error), ()
    finding = _judge(path, plan, axes)
    if finding.agreement is Agreement.DISAGREES:
        return "disagreed", finding.reason, ()
    if finding.agreement is Agreement.UNPROVEN:
        notes = (*notes, f"not proven: {finding.reason}")
    return "chosen", "", notes


def _finish(path: Path, plan: ExportPlan, axes: DynamicAxes, opset: int) -> None:
    """Give inputs and outputs their names, check the file, and refuse another opset than the one asked for."""
    model = load_graph(path)  # without its external data: only names change, and large weights stay where they are
    if opset_of(model) != opset:
        raise ConversionError(f"it wrote opset {opset_of(model)} instead of {opset}")
    name_border(model.graph, input_names=plan.call.input_names, output_names=plan.output_names)
    name_dimensions(model.graph, plan.output_shapes(axes))
    path.write_bytes(model.SerializeToString())
    check_file(path)


def _judge(path: Path, plan: ExportPlan, axes: DynamicAxes) -> Finding:
    if not plan.repeatable:
        return Finding(agreement=Agreement.UNPROVEN, reason="the module's own outputs are not repeatable")
    captured = plan.captured
    finding = judge_file(path, [each.inputs for each in captured], [each.outputs for each in captured])
    if finding.agreement is not Agreement.AGREES:
        return finding
    for other in plan.other_sizes(axes):
        resized = judge_file(path, [other.inputs], [other.outputs])
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
    if isinstance(error, (ConversionError, InputError)):
        return one_line(error.evidence or error.what)
    return one_line(error)
