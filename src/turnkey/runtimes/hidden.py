"""Hidden outputs: what each submodule computes, beside the values inside an exported ONNX file.

This finds the first submodule whose output differs, and proves something where the model's own outputs are zero.

Trade-offs: a submodule that is called twice, or that returns no single tensor, is passed over. A submodule counts as
agreeing if any of its last few values of the right shape agrees, since an exporter may put a node of its own
(a transposition, a cast) after the one that computes its result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from turnkey.errors import TurnkeyError
from turnkey.formats.module_scopes import values_by_submodule
from turnkey.model.samples import Sample
from turnkey.runtimes.single_run import outputs_of_file
from turnkey.runtimes.submodule_outputs import watch_submodules
from turnkey.verify import Comparison, Tolerances, VerificationVerdict, compare

if TYPE_CHECKING:
    import torch

    from turnkey.model.call import CallStructure

_CANDIDATES = 3
_CAPTURE_BYTES = 512 << 20
_COMPARED_VALUES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class HiddenComparison:
    """What the submodules say.

    Attributes:
        agreeing: submodules whose output agrees and proves something, in the order in which they finish.
        divergent: the first one that differs; empty if none does.
        divergent_class: its class.
        reason: how it differs.
    """

    agreeing: tuple[str, ...] = ()
    divergent: str = ""
    divergent_class: str = ""
    reason: str = ""

    @property
    def sentence(self) -> str:
        """For an error's evidence; empty if nothing is known."""
        if self.divergent:
            last = f" (the last that agrees: {self.agreeing[-1]})" if self.agreeing else ""
            return f"first divergent layer: {self.divergent} ({self.divergent_class}){last}: {self.reason}"
        if self.agreeing:
            return f"{len(self.agreeing)} layers agree, the last is {self.agreeing[-1]}: the difference comes after it"
        return ""


def compare_hidden(
    module: torch.nn.Module,
    structure: CallStructure | None,
    sample: Sample,
    *,
    exported: Path,
    variant: Path,
    tolerances: Tolerances,
) -> HiddenComparison:
    """Compare submodules of a live module with the values of a file.

    Args:
        exported: the file that an exporter wrote, which knows the submodules.
        variant: the file to judge: the same, or one made from it.

    What cannot be looked at (a scripted module, a file without names of origin) gives an empty comparison.
    """
    from turnkey.formats.onnx_file import load_graph

    present = {value for node in load_graph(variant).graph.node for value in node.output}
    children = dict(module.named_modules())
    values = {
        name: kept
        for name, made in values_by_submodule(load_graph(exported), children).items()
        if (kept := [value for value in made if value in present][-_CANDIDATES:])
    }
    wanted = _submodule_outputs(module, structure, sample, values)
    if not wanted:
        return HiddenComparison()
    names = sorted({value for name in wanted for value in values[name]})
    try:
        found = _values_of_file(variant, names, sample)
    except TurnkeyError as error:
        print(f"the values inside {variant.name} cannot be looked at: {error.what}; {error.evidence}")
        return HiddenComparison()
    classes = {name: type(children[name]).__name__ for name in wanted}
    candidates = {name: [found[value] for value in values[name] if value in found] for name in wanted}
    return _judged(wanted, candidates, classes, tolerances)


def compare_values(source: Path, variant: Path, sample: Sample, *, tolerances: Tolerances) -> HiddenComparison:
    """Compare the values inside two files that one was made from the other, by name.

    Of long graphs a selection is compared that is spread over all nodes. A layer is a value's name here, and its
    class the operator that makes it in the source.
    """
    from turnkey.formats.onnx_file import load_graph

    present = {value for node in load_graph(variant).graph.node for value in node.output}
    operators = {value: node.op_type for node in load_graph(source).graph.node for value in node.output if value}
    shared = [value for value in operators if value in present]
    shared = shared[:: -(-len(shared) // _COMPARED_VALUES) or 1]
    try:
        wanted, found = _values_of_file(source, shared, sample), _values_of_file(variant, shared, sample)
    except TurnkeyError as error:
        print(f"the values inside {variant.name} cannot be looked at: {error.what}; {error.evidence}")
        return HiddenComparison()
    in_order = {name: wanted[name] for name in shared if name in wanted}
    candidates = {name: [found[name]] for name in in_order if name in found}
    return _judged(in_order, candidates, operators, tolerances)


def _judged(
    wanted: Mapping[str, np.ndarray],
    candidates: Mapping[str, Sequence[np.ndarray]],
    classes: Mapping[str, str],
    tolerances: Tolerances,
) -> HiddenComparison:
    """Agreement up to the first layer of which no candidate agrees."""
    agreeing = []
    for name, reference in wanted.items():
        verdicts = _comparisons(name, reference, candidates.get(name, ()), tolerances)
        if any(comparison.verdict is VerificationVerdict.VALID for comparison in verdicts):
            agreeing.append(name)
        elif verdicts and all(comparison.verdict is VerificationVerdict.INVALID for comparison in verdicts):
            return HiddenComparison(
                agreeing=tuple(agreeing),
                divergent=name,
                divergent_class=classes[name],
                reason=verdicts[-1].reason,
            )
    return HiddenComparison(agreeing=tuple(agreeing))


def _submodule_outputs(
    module: torch.nn.Module, structure: CallStructure | None, sample: Sample, wanted: Iterable[str]
) -> dict[str, np.ndarray]:
    """Outputs of the submodules that are called once and return one tensor, as far as memory is meant for them."""
    outputs: dict[str, np.ndarray] = {}
    room = _CAPTURE_BYTES

    def keep(name: str, array: np.ndarray) -> None:
        nonlocal room
        room -= array.nbytes
        if room > 0:
            outputs[name] = array

    def drop(name: str) -> None:
        outputs.pop(name, None)

    return outputs if watch_submodules(module, structure, sample, wanted, keep=keep, drop=drop) else {}


def _values_of_file(path: Path, names: Sequence[str], sample: Sample) -> Mapping[str, np.ndarray]:
    """Values inside a file for one sample: run from a copy that gives them out, without optimisations."""
    import onnx

    from turnkey.formats.onnx_file import load_graph

    model = load_graph(path)
    given = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in given)
    # Beside the original, since external data is found relative to the file.
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".hidden-", suffix=".onnx") as copy:
        copy.write(model.SerializeToString())
        copy.flush()
        return outputs_of_file(Path(copy.name), sample, options={"graph_optimization_level": "none"})


def _comparisons(
    name: str, reference: np.ndarray, candidates: Iterable[np.ndarray], tolerances: Tolerances
) -> list[Comparison]:
    fitting = [array for array in candidates if array.shape == reference.shape]
    return [compare({name: reference}, {name: array}, tolerances=tolerances) for array in fitting]
