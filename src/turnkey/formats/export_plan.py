"""What an export tries, in which order, and by which inputs and outputs every file is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from turnkey.errors import ConversionError, ModelError
from turnkey.formats.conditioning import excused_as_rounding
from turnkey.formats.dynamic_axes import BATCH, STATIC, DynamicAxes, batch_axes, observed_axes
from turnkey.formats.failure_text import one_line
from turnkey.formats.torch_call import PositionalCall, call_of, opaque_arguments, outputs_of
from turnkey.model.samples import Sample
from turnkey.model.signature import Dimension
from turnkey.model.source import SourceModel
from turnkey.verify import Comparison, VerificationVerdict, compare

_CHECKED_SAMPLES = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Inputs with the module's own outputs."""

    inputs: Sample
    outputs: Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportPlan:
    """One module's export.

    Attributes:
        call: the module's call with tensors by position.
        axes: sets of dynamic axes to try, from the most general one to what the user asked for at least.
        captured: evidence at the captured size; at least one.
        others: evidence at other sizes: one made for each set of axes, and what the script itself called.
        may_trace: whether control flow and shapes are independent of values.
        notes: what a reader must know of this module.
    """

    call: PositionalCall
    axes: tuple[DynamicAxes, ...]
    captured: tuple[Evidence, ...]
    others: tuple[Evidence, ...]
    may_trace: bool
    notes: tuple[str, ...]

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(self.captured[0].outputs)

    def is_repeatable(self) -> bool:
        """Whether the module, run once more, gives the same outputs: asked when a file seems to be wrong."""
        first = self.captured[0]
        again = compare(first.outputs, outputs_of(self.call, first.inputs))
        return again.verdict is not VerificationVerdict.INVALID

    def excused(self, comparison: Comparison, inputs: Sample, reference: Sample, actual: Sample) -> Comparison:
        """A comparison that failed, without what is only rounding that the module itself makes large."""
        call = self.call
        return excused_as_rounding(comparison, call.module, call.structure, inputs, reference=reference, actual=actual)

    def other_sizes(self, axes: DynamicAxes) -> tuple[Evidence, ...]:
        """The evidence at other sizes that a file with these axes must agree with."""
        sample = self.captured[0].inputs
        if not axes:
            return ()
        return tuple(each for each in self.others if axes.fits(sample, each.inputs))

    def example(self, axes: DynamicAxes) -> Sample:
        """Inputs to export with: never a batch of 1 where the batch may vary, since 1 also means broadcasting."""
        sample = self.captured[0].inputs
        return axes.resized(sample, {BATCH: 2}) if axes.extents(sample).get(BATCH) == 1 else sample

    def output_shapes(self, axes: DynamicAxes) -> list[tuple[Dimension | None, ...]]:
        """What the module's own outputs at two sizes tell about their shapes; None where they tell nothing."""
        first = self.captured[0]
        varied = axes.extents(first.inputs)
        for other in self.other_sizes(axes):
            extents = axes.extents(other.inputs)
            if self.may_trace and all(extents[symbol] != varied[symbol] for symbol in varied):
                return [
                    _followed(array.shape, other.outputs[name].shape, varied, extents)
                    for name, array in first.outputs.items()
                ]
        return [()] * len(first.outputs)


@dataclass(slots=True)
class _Probe:
    """Runs the module; remembers what it refused."""

    source: SourceModel
    call: PositionalCall
    notes: list[str] = field(default_factory=list)

    def run(self, sample: Sample) -> Evidence:
        """The outputs for captured inputs. Raises ModelError."""
        try:
            return Evidence(inputs=sample, outputs=outputs_of(self.call, sample))
        except Exception as error:
            raise ModelError(
                f"{self.source.class_name} fails on its own captured inputs in evaluation mode",
                evidence=one_line(error),
                remedy="run the model in your script with model.eval() and torch.no_grad()",
            ) from error

    def resized(self, axes: DynamicAxes, sample: Sample) -> Evidence | str:
        """The outputs at another size, or why the module refuses it."""
        extents = {
            symbol: 2 * extent if symbol == BATCH or extent < 4 else extent // 2
            for symbol, extent in axes.extents(sample).items()
        }
        other = axes.resized(sample, extents)
        try:
            return Evidence(inputs=other, outputs=outputs_of(self.call, other))
        except Exception as error:  # noqa: BLE001  the module is the user's: any refusal means that the axis is fixed
            return one_line(error)


def plan_static(source: SourceModel) -> ExportPlan:
    """A plan without dynamic axes, for which the module runs on its captured inputs alone. Raises ModelError."""
    probe, captured = _captured(source)
    return ExportPlan(
        call=probe.call,
        axes=(STATIC,),
        captured=captured,
        others=(),
        may_trace=not source.data_dependent,
        notes=tuple(probe.notes),
    )


def plan_export(source: SourceModel, *, wanted: DynamicAxes) -> ExportPlan:
    """Run the module as often as the judgement of its files needs.

    Args:
        source: with a live module.
        wanted: axes that the user named.

    Raises:
        ModelError: the module fails on its captured inputs.
        ConversionError: it returns no tensor.
    """
    probe, captured = _captured(source)
    sample = captured[0].inputs
    further = [samples.inputs[0] for samples in source.further_samples]
    axes, others = _axes(probe, sample, further, wanted)
    conforming = [other for other in further if any(each and each.fits(sample, other) for each in axes)]
    return ExportPlan(
        call=probe.call,
        axes=axes,
        captured=captured,
        others=(*others, *(probe.run(other) for other in conforming[:_CHECKED_SAMPLES])),
        may_trace=not source.data_dependent,
        notes=tuple(probe.notes),
    )


def _captured(source: SourceModel) -> tuple[_Probe, tuple[Evidence, ...]]:
    # A trace that froze one branch agrees with the inputs that take it: there every captured input is asked.
    inputs = source.samples.inputs[: None if source.data_dependent else _CHECKED_SAMPLES]
    structure = source.samples.structure
    assert source.module is not None, "the caller has looked"
    probe = _Probe(source, call_of(source.module, structure, inputs[0]))
    if opaque := opaque_arguments(structure):
        probe.notes.append(f"arguments that are no tensors are constants of the file: {', '.join(opaque)}")
    captured = tuple(probe.run(sample) for sample in inputs)
    if not captured[0].outputs:
        raise ConversionError(
            f"{source.class_name} returns no tensor, so that there is nothing to export",
            evidence=f"its inputs: {', '.join(inputs[0]) or 'none'}",
            remedy="return tensors, or dictionaries, sequences and dataclasses of tensors",
        )
    return probe, captured


def _axes(
    probe: _Probe, sample: Sample, further: Sequence[Sample], wanted: DynamicAxes
) -> tuple[tuple[DynamicAxes, ...], tuple[Evidence, ...]]:
    """Sets of axes that the module itself bears, without repetition, and its outputs at other sizes."""
    batch = wanted.merged(batch_axes(sample))
    general = batch.merged(observed_axes(sample, further))
    chain = (general, batch, wanted)
    kept, others = [], []
    for position, axes in enumerate(chain):
        if axes in chain[:position]:
            continue
        other = probe.resized(axes, sample) if axes else None
        if isinstance(other, Evidence):
            others.append(other)
        elif other is not None and axes == wanted:
            probe.notes.append(f"not proven at another size, which the module refuses: {other}")
        elif other is not None:
            if axes == batch:
                probe.notes.append(f"dynamic {BATCH} axis refused by the module: {other}")
            continue
        kept.append(axes)
    return tuple(kept), tuple(others)


def _followed(
    shape: tuple[int, ...], other: tuple[int, ...], extents: dict[str, int], other_extents: dict[str, int]
) -> tuple[Dimension | None, ...]:
    """Each dimension as a number if both sizes agree, as the symbol that it follows, else None."""
    if len(shape) != len(other):
        return ()

    def dimension(before: int, after: int) -> Dimension | None:
        if before == after:
            return before
        followed = [s for s in extents if (extents[s], other_extents[s]) == (before, after)]
        return followed[0] if followed else None

    return tuple(dimension(before, after) for before, after in zip(shape, other, strict=True))
