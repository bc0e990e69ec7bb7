"""The search for a wrong layer in one form of a model, for one sample: see `turnkey.runtimes.divergence`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.errors import TurnkeyError
from turnkey.model.samples import Sample
from turnkey.runtimes.layer_chain import LayerChain
from turnkey.runtimes.operator_suspects import suspects_by_name, suspects_by_value, values_of
from turnkey.runtimes.reproduction import write_reproduction
from turnkey.runtimes.segment import cut_part, run_part
from turnkey.verify import OutputComparison, Tolerances, VerificationVerdict, compare
from turnkey.verify.bisection import divergent_step

if TYPE_CHECKING:
    import onnx

    from turnkey.formats.onnx_segment import WeightlessModel
    from turnkey.runtimes.reference import Reference


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLoss:
    """What one layer of a variant adds, fed with right values."""

    layer: str
    kind: str
    relative_l2: float


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


class LayerSearch:
    """The search in one form for one sample.

    Args:
        whole: the form.
        exported: the form that knows the layers' names.
        limits: within which a layer is right.
        scratch: directory for what is kept meanwhile.
    """

    def __init__(
        self,
        reference: Reference,
        sample: Sample,
        whole: WeightlessModel,
        *,
        exported: WeightlessModel,
        limits: Tolerances,
        scratch: Path,
    ) -> None:
        self._source = reference.source
        self._sample = sample
        self._whole = whole
        self._limits = limits
        self._chain = LayerChain(reference, sample, whole, exported, scratch)

    def wrong_layer(self, *, sound: WeightlessModel | None, directory: Path, title: str) -> WrongLayer | None:
        """The first layer that is wrong by itself, with a reproduction in ``directory``; None if no layer is.

        Args:
            sound: the form before this one, which is right; None if this is the first.
        """
        chain = self._chain
        while True:
            step = divergent_step(len(chain) + 1, lambda low, high: bool(self._difference(low, high).failed_test))
            if step is None:
                return None
            if step > len(chain) or not self._is_misplaced(step, sound):
                break
            chain.drop(step)
        layer, kind = chain.named(step)
        reason = self._difference(step - 1, step).reason
        part, feeds = cut_part(
            self._whole, outputs=chain.targets(step), given=chain.given(step - 1), sample=self._sample
        )
        expected = chain.right(step)
        suspects = self._suspects(part, step, sound)
        write_reproduction(
            part,
            {name: np.asarray(array) for name, array in feeds.items()},
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
            reason=reason,
        )

    def losses(self) -> tuple[LayerLoss, ...]:
        """What each layer adds by itself, where that is defined; the largest first."""
        found = []
        for step in range(1, len(self._chain) + 2):
            layer, kind = self._chain.named(step)
            lost = self._difference(step - 1, step).relative_l2
            if lost is not None:
                found.append(LayerLoss(layer=layer, kind=kind, relative_l2=lost))
        return tuple(sorted(found, key=lambda loss: -loss.relative_l2))

    def _difference(self, low: int, high: int, *, form: WeightlessModel | None = None) -> OutputComparison:
        """What a form gives at the end of step ``high`` from right values up to ``low``, beside what is right."""
        targets = self._chain.targets(high)
        try:
            computed = run_part(
                form or self._whole, outputs=targets, given=self._chain.given(low), sample=self._sample
            )
        except (TurnkeyError, KeyError) as error:
            print(f"the part up to {targets[0]} cannot be run by itself: {error}")
            return OutputComparison(name=targets[0])
        found = compare(self._chain.right(high), computed, tolerances=self._limits)
        return found.first_failure or max(found.outputs, key=lambda output: output.relative_l2 or 0.0)

    def _is_misplaced(self, step: int, sound: WeightlessModel | None) -> bool:
        """Whether the value is not the layer's output after all: the right form differs there too, or another fits."""
        position = self._chain[step]
        if sound is not None and position.value in values_of(sound.model):
            return bool(self._difference(step - 1, step, form=sound).failed_test)
        expected = self._chain.right(step)[position.value]
        given = self._chain.given(step - 1)
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

    def _tolerated(self, expected: Sample) -> float:
        """Relative L2 error that the form's precision explains; a user's limits say nothing about the norm."""
        defaults = Tolerances(precision=self._limits.precision)
        return max(
            (defaults.limit_for(str(array.dtype)).relative_l2 or 0.0 for array in expected.values()), default=0.0
        )

    def _suspects(self, part: onnx.ModelProto, step: int, sound: WeightlessModel | None) -> Sequence[onnx.NodeProto]:
        """Operators of the wrong part that may be to blame."""
        given = self._chain.given(step - 1)

        def run(whole: WeightlessModel, names: Sequence[str]) -> Sample:
            return run_part(whole, outputs=names, given=given, sample=self._sample)

        if sound is not None:
            return suspects_by_name(part, wrong=self._whole, sound=sound, run=run, limits=self._limits)
        return suspects_by_value(
            part,
            self._chain.targets(step),
            wrong=self._whole,
            source=self._source,
            sample=self._sample,
            run=run,
            limits=self._limits,
        )
