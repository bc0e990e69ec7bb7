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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import onnx

from turnkey.errors import ConversionError, InputError, ModelError, UsageError
from turnkey.formats import onnx_dynamo, onnx_torchscript
from turnkey.formats.dynamic_axes import (
    BATCH,
    DynamicAxes,
    batch_axes,
    observed_axes,
    requested_axes,
)
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_agreement import Agreement, Finding, judge_file, one_line
from turnkey.formats.onnx_file import check_file, load_model, opset_of, save_model
from turnkey.formats.onnx_naming import name_border, name_dimensions
from turnkey.formats.torch_call import PositionalCall, call_of, opaque_arguments, outputs_of, tensors_for
from turnkey.model.samples import Sample
from turnkey.model.signature import Dimension
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import evaluation_mode
from turnkey.verify import VerificationVerdict, compare

_CHECKED_SAMPLES = 2
_LOWEST_OPSET = 7
_EXPORTERS: dict[str, ModuleType] = {onnx_dynamo.NAME: onnx_dynamo, onnx_torchscript.NAME: onnx_torchscript}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExportSettings:
    """How to export.

    Attributes:
        opset: of the standard operators.
        exporter: ``auto`` (dynamo, then torchscript), ``dynamo``, ``torchscript``, or ``fast`` (torchscript first
            where tracing is sound, and one static try).
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
        plan = _plan(source, settings)
        attempts: list[Attempt] = []
        for exporter, axes in plan.tries:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="turnkey-export-") as scratch:
                written = Path(scratch) / "model.onnx"
                outcome, reason, notes = _try(exporter, plan, axes, written, settings.opset)
                if outcome == "chosen":
                    save_model(load_model(written), request.path)
            seconds = round(time.perf_counter() - started, 3)
            label = axes.sentence() or "static"
            attempts.append(Attempt(exporter=exporter, axes=label, outcome=outcome, reason=reason, seconds=seconds))
            if outcome == "chosen":
                return Conversion(
                    path=request.path,
                    exporter=exporter,
                    notes=(*plan.notes, *notes, *_axes_notes(axes, plan, exporter, attempts)),
                    attempts=tuple(asdict(attempt) for attempt in attempts),
                    facts={"opset": settings.opset, "dynamic_axes": label},
                )
        raise ConversionError(
            f"no exporter could write {source.class_name} as ONNX",
            evidence=attempts_table([asdict(attempt) for attempt in attempts]),
            remedy="see the log of export-pytorch; try another --opset, or --exporter torchscript",
        )


FORMAT = OnnxExport()


def attempts_table(attempts: Sequence[Mapping[str, Any]]) -> str:
    """Who was tried, with which axes, and what became of it; one line each (`Conversion.attempts`)."""
    columns = ("exporter", "axes", "outcome", "seconds", "reason")
    rows = [columns, *(tuple(str(attempt[column]) for column in columns) for attempt in attempts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What is tried, and what every file is judged by."""

    call: PositionalCall
    tries: tuple[tuple[str, DynamicAxes], ...]
    inputs: tuple[Sample, ...]
    references: tuple[Sample, ...]
    resized: Callable[[DynamicAxes], tuple[Sample, Sample] | str]
    further: tuple[tuple[Sample, Sample], ...]
    repeatable: bool
    data_dependent: bool
    notes: tuple[str, ...]


def _plan(source: SourceModel, settings: OnnxExportSettings) -> _Plan:
    inputs = source.samples.inputs[:_CHECKED_SAMPLES]
    call = call_of(source.module, source.samples.structure, inputs[0])
    references = tuple(_run(source, call, sample) for sample in inputs)
    notes = []
    repeatable = _agree(references[0], _run(source, call, inputs[0]))
    if not repeatable:
        notes.append("two runs of the module itself differ: its files cannot be checked")
    if opaque := opaque_arguments(source.samples.structure):
        notes.append(f"arguments that are no tensors are constants of the file: {', '.join(opaque)}")
    further = tuple(samples.inputs[0] for samples in source.further_samples)
    wanted = requested_axes(inputs[0], settings.dynamic)
    known: dict[str, tuple[Sample, Sample] | str] = {}

    def resized(axes: DynamicAxes) -> tuple[Sample, Sample] | str:
        """Inputs and outputs at another size, or why the module refuses them."""
        key = axes.sentence()
        if key not in known:
            known[key] = _resize(source, call, inputs[0], references[0], axes)
        return known[key]

    tried_axes = _axes_to_try(inputs[0], further, wanted, resized, notes)
    if settings.exporter == "fast" and source.data_dependent:
        notes.append("control flow depends on data: tracing refused, exported as with --exporter auto")
    tries = _tries(settings.exporter, tried_axes, wanted, may_trace=not source.data_dependent)
    conforming = [sample for sample in further if any(axes.fits(inputs[0], sample) for axes in tried_axes if axes)]
    return _Plan(
        call=call,
        tries=tries,
        inputs=inputs,
        references=references,
        resized=resized,
        further=tuple((sample, _run(source, call, sample)) for sample in conforming[:_CHECKED_SAMPLES]),
        repeatable=repeatable,
        data_dependent=source.data_dependent,
        notes=tuple(notes),
    )


def _tries(
    exporter: str, axes: tuple[DynamicAxes, ...], wanted: DynamicAxes, *, may_trace: bool
) -> tuple[tuple[str, DynamicAxes], ...]:
    if exporter in _EXPORTERS:
        return tuple((exporter, each) for each in axes)
    chain = tuple((name, each) for name in _EXPORTERS for each in axes)
    if exporter == "fast" and may_trace:
        first = (onnx_torchscript.NAME, wanted)
        return (first, *(each for each in chain if each != first))
    return chain


def _axes_to_try(
    sample: Sample,
    further: Sequence[Sample],
    wanted: DynamicAxes,
    resized: Callable[[DynamicAxes], tuple[Sample, Sample] | str],
    notes: list[str],
) -> tuple[DynamicAxes, ...]:
    """From the most general to what the user asked for at least, without repetition."""
    batch = wanted.merged(batch_axes(sample))
    general = batch.merged(observed_axes(sample, further))
    chain = (general, batch, wanted)
    distinct = [axes for position, axes in enumerate(chain) if axes not in chain[:position]]
    kept: list[DynamicAxes] = []
    for axes in distinct:
        if axes != wanted:
            refusal = resized(axes)
            if isinstance(refusal, str):
                if axes == batch:
                    notes.append(f"dynamic {BATCH} axis refused by the module: {refusal}")
                continue
        kept.append(axes)
    return tuple(kept)


def _resize(
    source: SourceModel, call: PositionalCall, sample: Sample, reference: Sample, axes: DynamicAxes
) -> tuple[Sample, Sample] | str:
    extents = {
        symbol: 2 * extent if symbol == BATCH or extent < 4 else extent // 2
        for symbol, extent in axes.extents(sample).items()
    }
    other = axes.resized(sample, extents)
    try:
        outputs = outputs_of(call, other)
    except Exception as error:  # noqa: BLE001  the module is the user's: any refusal means that the axis is fixed
        return one_line(error)
    return other, outputs


def _try(exporter: str, plan: _Plan, axes: DynamicAxes, path: Path, opset: int) -> tuple[str, str, tuple[str, ...]]:
    """Outcome, reason and notes of one exporter with one set of axes."""
    sample = plan.inputs[0]
    example = axes.resized(sample, {BATCH: 2}) if axes.extents(sample).get(BATCH) == 1 else sample
    try:
        with evaluation_mode(plan.call):
            notes = _EXPORTERS[exporter].export(
                plan.call,
                tensors_for(plan.call, example),
                path=path,
                output_names=tuple(plan.references[0]),
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


def _finish(path: Path, plan: _Plan, axes: DynamicAxes, opset: int) -> None:
    """Give inputs and outputs their names, check the file, and refuse another opset than the one asked for."""
    model = load_model(path)
    if opset_of(model) != opset:
        raise ConversionError(f"it wrote opset {opset_of(model)} instead of {opset}")
    name_border(model.graph, input_names=plan.call.input_names, output_names=tuple(plan.references[0]))
    name_dimensions(model.graph, _output_shapes(plan, axes))
    save_model(model, path)
    check_file(path)


def _output_shapes(plan: _Plan, axes: DynamicAxes) -> dict[str, tuple[Dimension | None, ...]]:
    """What the module's own outputs at two sizes tell about their shapes."""
    resized = plan.resized(axes)
    if not axes or plan.data_dependent or isinstance(resized, str):
        return {}
    before, after = axes.extents(plan.inputs[0]), axes.extents(resized[0])

    def dimension(small: int, large: int) -> Dimension | None:
        followed = [s for s in before if (before[s], after[s]) == (small, large)]
        return followed[0] if followed else None

    return {
        name: tuple(
            small if small == large else dimension(small, large)
            for small, large in zip(array.shape, resized[1][name].shape, strict=True)
        )
        for name, array in plan.references[0].items()
        if resized[1][name].ndim == array.ndim
    }


def _judge(path: Path, plan: _Plan, axes: DynamicAxes) -> Finding:
    if not plan.repeatable:
        return Finding(agreement=Agreement.UNPROVEN, reason="the module's own outputs are not repeatable")
    finding = judge_file(path, plan.inputs, plan.references)
    if finding.agreement is not Agreement.AGREES or not axes:
        return finding
    others = [pair for pair in plan.further if axes.fits(plan.inputs[0], pair[0])]
    resized = plan.resized(axes)
    if isinstance(resized, str):
        return finding
    for inputs, reference in (resized, *others):
        other = judge_file(path, [inputs], [reference])
        if other.agreement is Agreement.DISAGREES:
            sizes = ", ".join(f"{symbol}={extent}" for symbol, extent in axes.extents(inputs).items())
            return Finding(agreement=other.agreement, reason=f"at {sizes}: {other.reason}")
    return finding


def _axes_notes(axes: DynamicAxes, plan: _Plan, exporter: str, attempts: Sequence[Attempt]) -> tuple[str, ...]:
    refused = [a for a in attempts if a.outcome != "chosen"]
    notes = [f"{a.exporter} ({a.axes}) {a.outcome}: {a.reason}" for a in refused]
    if axes:
        notes.append(f"dynamic axes: {axes.sentence()}")
        if isinstance(reason := plan.resized(axes), str):
            notes.append(f"not proven at another size: {reason}")
    return tuple(notes)


def _run(source: SourceModel, call: PositionalCall, sample: Sample) -> Sample:
    try:
        return outputs_of(call, sample)
    except Exception as error:
        raise ModelError(
            f"{source.class_name} fails on its own captured inputs in evaluation mode",
            evidence=one_line(error),
            remedy="run the model in your script with model.eval() and torch.no_grad()",
        ) from error


def _agree(first: Sample, second: Sample) -> bool:
    return compare(first, second).verdict is not VerificationVerdict.INVALID


def _refuse_unknown_opset(opset: int) -> None:
    highest = onnx.defs.onnx_opset_version()
    if not _LOWEST_OPSET <= opset <= highest:
        raise UsageError(
            f"there is no opset {opset} to export to",
            evidence=f"the installed onnx knows opsets {_LOWEST_OPSET} to {highest}",
            remedy="--opset 20",
        )


def _root_reason(error: BaseException) -> str:
    """What really went wrong: exporters wrap it several times."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, (ConversionError, InputError)):
        return one_line(error.evidence or error.what)
    return one_line(error)
