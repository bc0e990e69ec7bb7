"""The layers of a source model as points of one of its forms: where each one's output lies there, and its right value.

Trade-off: which value of a form is a layer's output is a guess by origin and shape, since exporters put nodes of their
own behind it; `LayerSearch` drops those that turn out to be none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.formats.module_scopes import values_by_submodule
from turnkey.model.samples import Sample
from turnkey.runtimes.layer_values import ValueStore, keep_file_values
from turnkey.runtimes.operator_suspects import SILENT, values_of
from turnkey.runtimes.submodule_outputs import watch_submodules

if TYPE_CHECKING:
    from turnkey.formats.onnx_segment import WeightlessModel
    from turnkey.runtimes.reference import Reference

_CANDIDATES = 3
"""Values of a layer that may be its output: exporters put a cast or a transposition of their own behind it."""


@dataclass(frozen=True, slots=True)
class Position:
    """A layer: its path and class, the value of the form that is its output, and others that may be it instead."""

    layer: str
    kind: str
    value: str
    others: tuple[str, ...]


class LayerChain:
    """The positions in the order in which the layers finish; the step behind the last one is the model's outputs.

    Args:
        reference: of the source model, which is run once.
        sample: that it is run with.
        whole: the form.
        exported: the form that knows the layers' names; the same, or the one that it was made from.
        scratch: directory for the right values.
    """

    def __init__(
        self, reference: Reference, sample: Sample, whole: WeightlessModel, exported: WeightlessModel, scratch: Path
    ) -> None:
        self._reference = reference
        self._sample = sample
        self._whole = whole
        self._computed = values_of(whole.model)
        self._store = ValueStore(scratch / "values")
        source = reference.source
        if source.module is not None:
            classes = {name: type(child).__name__ for name, child in source.module.named_modules()}
            values = self._watch(exported, classes)
        else:
            assert source.path is not None, "a source that can run is a module or a file"
            classes = self._keep_file(source.path, scratch)
            values = {value: [value] for value in classes}
        self._positions = list(self._found(classes, values))

    def __len__(self) -> int:
        return len(self._positions)

    def __getitem__(self, step: int) -> Position:
        """The position that ends a step, from 1."""
        return self._positions[step - 1]

    def drop(self, step: int) -> None:
        """Forget a position that is none."""
        del self._positions[step - 1]

    def named(self, step: int) -> tuple[str, str]:
        """Path and class of the layer that ends a step, in words for the last step."""
        if step <= len(self):
            return self[step].layer, self[step].kind
        after = f", after {self._positions[-1].layer}" if self._positions else ""
        return f"the model's own outputs{after}", self._reference.source.class_name

    def targets(self, step: int) -> tuple[str, ...]:
        """Values of the form that end a step."""
        return self._whole.output_names if step > len(self) else (self[step].value,)

    def right(self, step: int) -> Sample:
        """What they should be."""
        if step > len(self):
            return self._reference.outputs(self._sample, self._reference.source.samples.structure)
        return {self[step].value: np.asarray(self._store[self[step].layer])}

    def given(self, step: int) -> Mapping[str, np.ndarray]:
        """Right values of all positions up to a step, under the names that the form gives them."""
        return _Given(self._store, self._positions[:step])

    def _watch(self, exported: WeightlessModel, classes: Mapping[str, str]) -> Mapping[str, Sequence[str]]:
        """Keep what the modules compute; their values in the form."""
        source = self._reference.source
        values = values_by_submodule(exported.model, classes)
        watch_submodules(
            source.module, source.samples.structure, self._sample, values, keep=self._store.put, drop=self._store.drop
        )
        return values

    def _keep_file(self, path: Path, scratch: Path) -> dict[str, str]:
        """Keep the values of a source file that the form has, too; the operator of each value of the file."""
        from turnkey.formats.onnx_segment import open_weightless

        original = open_weightless(path, scratch / "source")
        nodes = [node for node in original.model.graph.node if node.op_type not in SILENT]
        operators = {value: node.op_type for node in nodes for value in node.output if value}
        keep_file_values(
            original, self._sample, [value for value in operators if value in self._computed], self._store
        )
        return operators

    def _found(self, classes: Mapping[str, str], values: Mapping[str, Sequence[str]]) -> Iterator[Position]:
        taken: set[str] = set(self._whole.output_names)
        for layer in self._store:
            fitting = [value for value in values[layer] if self._fits(value, self._store[layer])]
            if fitting and fitting[-1] not in taken:  # what ends with a layer that is there already is no other one
                *others, value = fitting[-_CANDIDATES:]
                taken.add(value)
                yield Position(layer, classes[layer], value, tuple(others))

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


class _Given(Mapping[str, np.ndarray]):
    """The right values of some positions, read when they are asked for."""

    def __init__(self, store: ValueStore, positions: Sequence[Position]) -> None:
        self._store = store
        self._layers = {position.value: position.layer for position in positions}

    def __getitem__(self, value: str) -> np.ndarray:
        return self._store[self._layers[value]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)
