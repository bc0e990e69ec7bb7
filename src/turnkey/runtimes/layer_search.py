"""The search for a wrong layer in one form of a model, for one sample: see `turnkey.runtimes.divergence`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.errors import TurnkeyError
from turnkey.formats.module_scopes import values_by_submodule
from turnkey.model.samples import Sample
from turnkey.runtimes.layer_values import ValueStore, keep_file_values
from turnkey.runtimes.operator_suspects import SILENT, suspects_by_name, suspects_by_value, values_of
from turnkey.runtimes.reproduction import write_reproduction
from turnkey.runtimes.segment import cut_part, run_part
from turnkey.runtimes.submodule_outputs import watch_submodules
from turnkey.verify import OutputComparison, Tolerances, VerificationVerdict, compare
from turnkey.verify.bisection import divergent_step

if TYPE_CHECKING:
    import onnx

    from turnkey.formats.onnx_segment import WeightlessModel
    from turnkey.runtimes.reference import Reference

_CANDIDATES = 3
"""Values of a layer that may be its output: exporters put a cast or a transposition of their own behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLoss:
    """What one layer of a variant adds, fed with right values. ``relative_l2`` is None where it is not defined."""

    layer: str
    kind: str
    relative_l2: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongLayer:
    """A layer that gives wrong values from right ones.

    Attributes:
        layer, kind: path and class of the module (for a source file: value and operator).
        operators: what may be the wrong operator, each with its node's name.
        reason: the difference, in words.
    """

    layer: str
    kind: str
    operators: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class _Position:
    """A layer as a point of the chain: its name, class, and the value of the wrong form that is its output."""

    layer: str
    kind: str
    value: str
    others: tuple[str, ...]


class _Given(Mapping[str, np.ndarray]):
    """The right values of some positions, under the names that the form gives them."""

    def __init__(self, store: ValueStore, positions: Sequence[_Position]) -> None:
        self._store = store
        self._layers = {position.value: position.layer for position in positions}

    def __getitem__(self, value: str) -> np.ndarray:
        return self._store[self._layers[value]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)


class LayerSearch:
    """The search in one form for one sample."""

    def __init__(
        self, reference: Reference, sample: Sample, whole: WeightlessModel, limits: Tolerances, scratch: Path
    ) -> None:
        self._reference = reference
        self._sample = sample
        self._whole = whole
        self._limits = limits
        self._store = ValueStore(scratch / "values")
        self._scratch = scratch
        self._computed = values_of(whole.model)
        self._positions: list[_Position] = []
        self._last = OutputComparison(name="")

    def keep_layers(self, exported: WeightlessModel) -> None:
        """Run the source model once, and find its layers in the form."""
        source = self._reference.source
        if source.module is not None:
            classes = {name: type(child).__name__ for name, child in source.module.named_modules()}
            values = values_by_submodule(exported.model, classes)
            watch_submodules(
                source.module,
                source.samples.structure,
                self._sample,
                values,
                keep=self._store.put,
                drop=self._store.drop,
            )
        else:
            assert source.path is not None, "a source that can run is a module or a file"
            from turnkey.formats.onnx_segment import open_weightless

            original = open_weightless(source.path, self._scratch / "source")
            nodes = [node for node in original.model.graph.node if node.op_type not in SILENT]
            classes = {value: node.op_type for node in nodes for value in node.output if value}
            values = {value: [value] for value in classes}
            keep_file_values(original, self._sample, [v for v in values if self._is_computed(v)], self._store)
        taken: set[str] = set(self._whole.output_names)
        for layer in self._store:
            fitting = [v for v in values[layer] if self._fits(v, self._store[layer])]
            if fitting and fitting[-1] not in taken:  # what ends with a layer that is there already is no other one
                *others, value = fitting[-_CANDIDATES:]
                taken.add(value)
                self._positions.append(_Position(layer, classes[layer], value, tuple(others)))

    def wrong_layer(self, *, sound: WeightlessModel | None, directory: Path, title: str) -> WrongLayer | None:
        """The first layer that is wrong by itself, with a reproduction in ``directory``; None if no layer is.

        Args:
            sound: the form before this one, which is right; None if this is the first.
        """
        while True:
            step = divergent_step(len(self._positions) + 1, self._differs)
            if step is None:
                return None
            if step > len(self._positions) or not self._is_misplaced(step, sound):
                break
            del self._positions[step - 1]
        self._differs(step - 1, step)  # where one step is all there is, nothing was asked
        layer, kind = self._named(step)
        part, feeds, expected = self._reproduction(step)
        suspects = self._suspects(part, step, sound)
        write_reproduction(
            part,
            feeds,
            expected,
            weights=self._whole.directory,
            directory=directory,
            title=f"{title}: {layer}",
            tolerated=self._tolerated(expected),
        )
        return WrongLayer(
            layer=layer,
            kind=kind,
            operators=tuple(f"{node.op_type} (node {node.name or node.output[0]})" for node in suspects),
            reason=self._last.reason,
        )

    def losses(self) -> tuple[LayerLoss, ...]:
        """What each layer adds by itself; the largest first."""
        found = []
        for step in range(1, len(self._positions) + 2):
            self._differs(step - 1, step)
            layer, kind = self._named(step)
            found.append(LayerLoss(layer=layer, kind=kind, relative_l2=self._last.relative_l2))
        known = [loss for loss in found if loss.relative_l2 is not None]
        return tuple(sorted(known, key=lambda loss: -(loss.relative_l2 or 0.0)))

    def _named(self, step: int) -> tuple[str, str]:
        if step > len(self._positions):
            source = self._reference.source
            after = f", after {self._positions[-1].layer}" if self._positions else ""
            return f"the model's own outputs{after}", source.class_name
        return self._positions[step - 1].layer, self._positions[step - 1].kind

    def _is_computed(self, value: str) -> bool:
        return value in self._computed

    def _fits(self, value: str, array: np.ndarray) -> bool:
        """Whether a value of the form may be an array: it exists, and what is known of its shape agrees."""
        if value not in self._computed:
            return False
        known = self._whole.shapes.get(value)
        if known is None:
            return True
        return len(known) == array.ndim and all(
            extent in (None, actual) for extent, actual in zip(known, array.shape, strict=True)
        )

    def _differs(self, low: int, high: int) -> bool:
        """Whether the part between two positions gives wrong values from right ones; what it gave is `_last`."""
        self._last = self._compared(self._whole, low, self._targets(high))
        return bool(self._last.failed_test)

    def _targets(self, step: int) -> tuple[str, ...]:
        return self._whole.output_names if step > len(self._positions) else (self._positions[step - 1].value,)

    def _expected(self, step: int) -> Sample:
        if step > len(self._positions):
            return self._reference.outputs(self._sample, self._reference.source.samples.structure)
        position = self._positions[step - 1]
        return {position.value: np.asarray(self._store[position.layer])}

    def _compared(self, whole: WeightlessModel, low: int, targets: tuple[str, ...]) -> OutputComparison:
        given = _Given(self._store, self._positions[:low])
        step = self._step_of(targets)
        try:
            computed = run_part(whole, outputs=targets, given=given, sample=self._sample)
        except (TurnkeyError, KeyError) as error:
            print(f"the part up to {targets[0]} cannot be run by itself: {error}")
            return OutputComparison(name=targets[0])
        found = compare(self._expected(step), computed, tolerances=self._limits)
        return found.first_failure or max(found.outputs, key=lambda output: output.relative_l2 or 0.0)

    def _step_of(self, targets: tuple[str, ...]) -> int:
        for step, position in enumerate(self._positions, start=1):
            if targets in ((position.value,), *((other,) for other in position.others)):
                return step
        return len(self._positions) + 1

    def _is_misplaced(self, step: int, sound: WeightlessModel | None) -> bool:
        """Whether the value is not the layer's output after all: the right form differs there too, or another fits."""
        position = self._positions[step - 1]
        if sound is not None and position.value in values_of(sound.model):
            return bool(self._compared(sound, step - 1, (position.value,)).failed_test)
        expected = np.asarray(self._store[position.layer])
        given = _Given(self._store, self._positions[: step - 1])
        for other in position.others:
            try:
                computed = run_part(self._whole, outputs=(other,), given=given, sample=self._sample)
            except (TurnkeyError, KeyError) as error:
                print(f"{other} cannot be looked at: {error}")
                continue
            agreement = compare({other: expected}, computed, tolerances=self._limits)
            if agreement.verdict is VerificationVerdict.VALID:
                return True
        return False

    def _reproduction(self, step: int) -> tuple[onnx.ModelProto, Sample, Sample]:
        given = _Given(self._store, self._positions[: step - 1])
        part, feeds = cut_part(self._whole, outputs=self._targets(step), given=given, sample=self._sample)
        return part, {name: np.asarray(array) for name, array in feeds.items()}, self._expected(step)

    def _tolerated(self, expected: Sample) -> float:
        """Relative L2 error that the form's precision explains; a user's limits say nothing about the norm."""
        defaults = Tolerances(precision=self._limits.precision)
        return max(
            (defaults.limit_for(str(array.dtype)).relative_l2 or 0.0 for array in expected.values()), default=0.0
        )

    def _suspects(self, part: onnx.ModelProto, step: int, sound: WeightlessModel | None) -> Sequence[onnx.NodeProto]:
        """Operators of the wrong part that may be to blame."""
        given = _Given(self._store, self._positions[: step - 1])

        def run(whole: WeightlessModel, names: Sequence[str]) -> Sample:
            return run_part(whole, outputs=names, given=given, sample=self._sample)

        if sound is not None:
            return suspects_by_name(part, wrong=self._whole, sound=sound, run=run, limits=self._limits)
        return suspects_by_value(
            part,
            self._targets(step),
            wrong=self._whole,
            source=self._reference.source,
            sample=self._sample,
            run=run,
            limits=self._limits,
        )
