"""Which axes of an export may vary: tried from the most general to none, believed where the result agrees.

An export says that an axis is free, and the module's own outputs at another size say whether it is. What the result
computes at the captured size is judged by the tool ``verify``, with all samples.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from turnkey.errors import ConversionError
from turnkey.formats.dynamic_axes import DynamicAxes
from turnkey.formats.export_attempt import ExportAttempt, attempts_table
from turnkey.formats.export_plan import ExportPlan
from turnkey.formats.failure_text import one_line
from turnkey.model.samples import Sample
from turnkey.model.signature import Dimension, Signature, TensorSpec
from turnkey.verify import VerificationVerdict, compare

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(Generic[Made]):
    """What came of it.

    Attributes:
        made: by the first attempt that agreed.
        axes: that may vary.
        attempts: as in `turnkey.formats.format.Conversion`.
        notes: what a reader must know.
    """

    made: Made
    axes: DynamicAxes
    attempts: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]


def first_agreeing(
    plan: ExportPlan,
    make: Callable[[DynamicAxes], Made],
    run: Callable[[Made, Sample], Sample],
    *,
    exporter: str,
    class_name: str,
) -> Trial[Made]:
    """Make the module with the first axes of the plan for which the result agrees at other sizes.

    Args:
        make: exports with these axes free; may raise anything.
        run: the outputs of what was made, under the plan's names; may raise anything.
        class_name: of the module, for messages.

    Raises:
        ConversionError: nothing could be made; the evidence is the table of all tries.
    """
    attempts: list[ExportAttempt] = []
    for axes in plan.axes:
        started = time.perf_counter()
        try:
            made = make(axes)
            reason = _disagreement(plan, axes, made, run)
            outcome = "disagreed" if reason else "chosen"
        except Exception as error:  # noqa: BLE001  exporters raise anything; it is what the table of attempts is about
            outcome, reason = "failed", one_line(error)
        seconds = round(time.perf_counter() - started, 3)
        label = axes.sentence() or "static"
        attempts.append(ExportAttempt(exporter=exporter, axes=label, outcome=outcome, reason=reason, seconds=seconds))
        if outcome == "chosen":
            before = [attempt.sentence for attempt in attempts[:-1]]
            free = [f"dynamic axes: {axes.sentence()}"] if axes else []
            tried = tuple(attempt.to_dict() for attempt in attempts)
            return Trial(made=made, axes=axes, attempts=tried, notes=(*plan.notes, *before, *free))
    raise ConversionError(
        f"{class_name} cannot be exported by {exporter}: {attempts[-1].reason}",
        evidence=attempts_table([attempt.to_dict() for attempt in attempts]),
        remedy="the log tells more; convert --to onnx has two other exporters",
    )


def signature_of(plan: ExportPlan, axes: DynamicAxes) -> Signature:
    """Inputs and outputs of the plan's call with these axes free."""
    captured = plan.captured[0]
    inputs = []
    for name in plan.call.input_names:
        array, symbols = captured.inputs[name], axes.symbols.get(name, {})
        shape: tuple[Dimension, ...] = tuple(symbols.get(axis, extent) for axis, extent in enumerate(array.shape))
        inputs.append(TensorSpec(name=name, dtype=str(array.dtype), shape=shape))
    outputs = []
    for (name, array), known in zip(captured.outputs.items(), plan.output_shapes(axes), strict=True):
        shape = tuple(array.shape)
        if axes:
            followed = known if len(known) == array.ndim else (None,) * array.ndim
            shape = tuple(f"{name}_{axis}" if extent is None else extent for axis, extent in enumerate(followed))
        outputs.append(TensorSpec(name=name, dtype=str(array.dtype), shape=shape))
    return Signature(inputs=tuple(inputs), outputs=tuple(outputs))


def _disagreement(plan: ExportPlan, axes: DynamicAxes, made: Made, run: Callable[[Made, Sample], Sample]) -> str:
    """Why the axes are not believed; empty if they are. The captured inputs must run, whatever comes out."""
    run(made, plan.captured[0].inputs)
    for other in plan.other_sizes(axes):
        comparison = compare(other.outputs, run(made, other.inputs))
        if comparison.verdict is VerificationVerdict.INVALID:
            sizes = ", ".join(f"{symbol}={extent}" for symbol, extent in axes.extents(other.inputs).items())
            return f"at {sizes}: {comparison.reason}"
    return ""
