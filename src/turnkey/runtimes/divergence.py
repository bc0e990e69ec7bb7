"""Where a variant goes wrong: the first form that does, the first layer in it, the operator, and a file that shows it.

1. The forms between the source model and the variant are run as they were written: the first whose outputs differ was
   made by the step that broke it. If none does, ONNX Runtime's own optimisations break the file while it is loaded.
2. The source model is run once; what its layers compute goes to disk (`ValueStore`).
3. Bisection (`divergent_step`): a part of the wrong form, fed with the layers' right values at its beginning, is run
   and compared at its end. About ``2 log2(layers)`` parts are run, none larger than half of the model.
4. Inside the layer that is left, operators are compared with the values of the form before, by name, or with every
   tensor that torch itself makes.

Memory: the weights of one part at a time, mapped from disk, and the values of one layer. What is left on disk
afterwards is the part that is wrong, with its inputs, what they should give, and a script that runs it.

Trade-offs: a layer that an optimiser fused away is no position, so that a part may hold several layers. Where no part
alone is wrong, as with the small errors of quantised layers, the layers that add most are named instead.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.errors import TurnkeyError
from turnkey.model.samples import Sample
from turnkey.runtimes.layer_search import LayerLoss, LayerSearch
from turnkey.runtimes.layer_values import ValueStore, outputs_in_parts
from turnkey.runtimes.segment import run_part
from turnkey.verify import OutputComparison, Tolerances, compare, precision_of

if TYPE_CHECKING:
    from turnkey.formats.onnx_segment import WeightlessModel
    from turnkey.runtimes.reference import Reference

_TOLD_LAYERS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """One stored form on the way to the variant.

    Attributes:
        key: of the variant that it is.
        path: an ONNX file.
        exporter: who made it.
    """

    key: str
    path: Path
    exporter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """What was found.

    Attributes:
        form: key of the first form that differs.
        made: by whom, from what.
        layer, kind: path and class of the module (for a source file: value and operator); empty where no layer alone
            is wrong.
        operators: what may be the wrong operator, each with its node's name.
        reason: the difference, in words.
        losses: the layers that add most, where no layer alone is wrong.
        directory: of the reproduction; None if there is none.
    """

    form: str
    made: str
    layer: str = ""
    kind: str = ""
    operators: tuple[str, ...] = ()
    reason: str
    losses: tuple[LayerLoss, ...] = ()
    directory: Path | None = None

    def lines(self) -> tuple[str, ...]:
        """For the terminal and an error's evidence."""
        told = [f"first wrong form: {self.form}, {self.made}"]
        if self.layer:
            told.append(f"first divergent layer: {self.layer} ({self.kind})")
        if self.operators:
            word = "operator" if len(self.operators) == 1 else "one of the operators"
            told.append(f"{word}: {', '.join(self.operators)}")
        told.append(f"error: {self.reason}")
        for loss in self.losses:
            told.append(f"  {loss.layer} ({loss.kind}) adds {loss.relative_l2:.2g} relative L2")
        if self.directory is not None:
            told.append(f"reproduce: python {self.directory / 'repro.py'}")
        return tuple(told)


def explain_divergence(
    reference: Reference, forms: Sequence[Form], *, directory: Path, tolerances: Tolerances
) -> Divergence:
    """Find the first form, layer and operator that differ from the source model.

    Args:
        reference: of the source model; its captured samples are used.
        forms: in the order in which one was made from the other; the last is known to differ.
        directory: of the reproduction; replaced if it is there.
        tolerances: limits; each form is judged by its own precision.

    Raises:
        TurnkeyError: a form cannot be read, or the source model fails.
    """
    from turnkey.formats.onnx_segment import open_weightless

    with tempfile.TemporaryDirectory(dir=forms[-1].path.parent, prefix=".explain-") as scratch:
        for index, form in enumerate(forms):
            limits = _limits(tolerances, form)
            whole = open_weightless(form.path, Path(scratch) / "form")
            failure = _first_failure(reference, whole, limits, Path(scratch))
            if failure is None:
                continue
            sample, found = failure
            before = forms[index - 1] if index else None
            made = f"made by {form.exporter} from {'the source model' if before is None else before.key}"
            exported = open_weightless(forms[0].path, Path(scratch) / "exported") if index else whole
            search = LayerSearch(reference, sample, whole, exported=exported, limits=limits, scratch=Path(scratch))
            sound = None if before is None else open_weightless(before.path, Path(scratch) / "before")
            wrong = search.wrong_layer(sound=sound, directory=directory, title=form.key)
            if wrong is None:
                reason = f"{found.reason}; no layer alone is outside of the tolerance, their errors add up"
                losses = search.losses()[:_TOLD_LAYERS]
                return Divergence(form=form.key, made=made, reason=reason, losses=losses)
            return Divergence(
                form=form.key,
                made=made,
                layer=wrong.layer,
                kind=wrong.kind,
                operators=wrong.operators,
                reason=wrong.reason or found.reason,
                directory=directory,
            )
    return Divergence(
        form=forms[-1].key,
        made="while ONNX Runtime loads it",
        reason="as written the file is right: ONNX Runtime's optimisations at load change what it computes "
        "(--rt-args graph_optimization_level::basic)",
    )


def layer_losses(
    reference: Reference, form: Form, *, exported: Path, sample: Sample, tolerances: Tolerances
) -> tuple[LayerLoss, ...]:
    """What each layer of a form adds by itself, fed with the source model's own values; the largest first.

    Raises:
        TurnkeyError: the form cannot be read, or the source model fails.
    """
    from turnkey.formats.onnx_segment import open_weightless

    with tempfile.TemporaryDirectory(dir=form.path.parent, prefix=".losses-") as scratch:
        whole = open_weightless(form.path, Path(scratch) / "form")
        search = LayerSearch(
            reference,
            sample,
            whole,
            exported=open_weightless(exported, Path(scratch) / "exported"),
            limits=_limits(tolerances, form),
            scratch=Path(scratch),
        )
        return search.losses()


def _limits(tolerances: Tolerances, form: Form) -> Tolerances:
    return Tolerances(
        rtol=tolerances.rtol, atol=tolerances.atol, scaled=tolerances.scaled, precision=precision_of(form.key)
    )


def _first_failure(
    reference: Reference, whole: WeightlessModel, limits: Tolerances, scratch: Path
) -> tuple[Sample, OutputComparison] | None:
    """The first captured sample whose outputs differ, and how."""
    samples = reference.with_outputs(reference.source.samples)
    for sample, expected in zip(samples.inputs, samples.outputs, strict=True):
        assert expected is not None, "the reference completed them"
        with tempfile.TemporaryDirectory(dir=scratch) as parts:
            try:
                computed = outputs_in_parts(whole, sample, ValueStore(Path(parts)))
            except TurnkeyError as error:  # a value that no file can hold, such as a sequence, lies between two parts
                print(f"{whole.directory.name} is run as a whole: {error.what}")
                computed = run_part(whole, outputs=whole.output_names, given={}, sample=sample)
        found = compare(expected, computed, tolerances=limits)
        if found.first_failure is not None:
            return sample, found.first_failure
    return None
