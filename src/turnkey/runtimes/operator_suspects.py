"""Which operators of a part that is wrong may be to blame: those behind the last value that is known to be right."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from turnkey.errors import TurnkeyError
from turnkey.model.samples import Sample
from turnkey.runtimes.layer_values import tensors_made_in
from turnkey.verify import Tolerances, VerificationVerdict, compare

if TYPE_CHECKING:
    import onnx

    from turnkey.formats.onnx_segment import WeightlessModel
    from turnkey.model.source import SourceModel

SILENT = {"Constant", "Shape", "Identity"}
"""Operators that compute nothing, and are never to blame."""

ComputesValues = Callable[["WeightlessModel", Sequence[str]], Sample]
"""Runs the part in one form of the model, and gives the values that are named out."""


def suspects_by_name(
    part: onnx.ModelProto, *, wrong: WeightlessModel, sound: WeightlessModel, run: ComputesValues, limits: Tolerances
) -> Sequence[onnx.NodeProto]:
    """Nodes up to the first value that the right form also has, and that differs from it.

    Args:
        part: of the wrong form.
        sound: the form before, which is right.
    """
    present = values_of(sound.model)
    shared = [value for node in part.graph.node for value in node.output if value in present]
    try:
        right, computed = run(sound, shared), run(wrong, shared)
    except (TurnkeyError, KeyError) as error:
        print(f"the operators of the part cannot be compared: {error}")
        return _telling(part.graph.node)
    agreeing = {
        name
        for name in shared
        if not compare({name: right[name]}, {name: computed[name]}, tolerances=limits).first_failure
    }
    return _until_first_wrong(part.graph.node, agreeing, set(shared) - agreeing)


def suspects_by_value(
    part: onnx.ModelProto,
    targets: Collection[str],
    *,
    wrong: WeightlessModel,
    source: SourceModel,
    sample: Sample,
    run: ComputesValues,
    limits: Tolerances,
) -> Sequence[onnx.NodeProto]:
    """Nodes behind the last whose value is one that torch makes, too.

    Args:
        targets: outputs of the part, which are known to be wrong.
        source: without a live module all nodes of the part are suspects.
    """
    nodes = part.graph.node
    if source.module is None or len(_telling(nodes)) == 1:
        return _telling(nodes)
    from turnkey.formats.torch_call import call_of, outputs_of
    from turnkey.model.torch_bridge import array_of

    try:
        values = run(wrong, [value for node in nodes for value in node.output if value])
    except (TurnkeyError, KeyError) as error:
        print(f"the operators of the part cannot be compared: {error}")
        return _telling(nodes)
    by_shape: dict[tuple[int, ...], list[str]] = {}
    for name, array in values.items():
        by_shape.setdefault(array.shape, []).append(name)
    matched: set[str] = set()

    def see(tensor: Any) -> None:
        for name in by_shape.get(tuple(tensor.shape), ()):
            if name not in matched:
                agreement = compare({name: array_of(tensor)}, {name: values[name]}, tolerances=limits)
                if agreement.verdict is VerificationVerdict.VALID:
                    matched.add(name)

    # The whole model: a part begins behind the last layer that is known, with operators of modules before its own.
    with tensors_made_in(source.module, see):
        outputs_of(call_of(source.module, source.samples.structure, sample), sample)
    return _until_first_wrong(nodes, matched, targets)


def values_of(model: onnx.ModelProto) -> set[str]:
    """Names of all values that the nodes of the outermost graph compute."""
    return {value for node in model.graph.node for value in node.output}


def _until_first_wrong(
    nodes: Sequence[onnx.NodeProto], agreeing: Collection[str], wrong: Collection[str]
) -> Sequence[onnx.NodeProto]:
    """The nodes behind the last one that agrees, up to the first that is known to be wrong."""
    suspects: list[onnx.NodeProto] = []
    for node in nodes:
        if any(value in agreeing for value in node.output):
            suspects.clear()
            continue
        suspects.append(node)
        if any(value in wrong for value in node.output):
            break
    return _telling(suspects) or _telling(nodes)


def _telling(nodes: Sequence[onnx.NodeProto]) -> Sequence[onnx.NodeProto]:
    return [node for node in nodes if node.op_type not in SILENT] or list(nodes)
