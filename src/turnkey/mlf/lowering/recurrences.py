"""Reversed and bidirectional recurrences as forward ones over reversed time, which the generator knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx

_RECURRENCES = frozenset({"GRU", "RNN", "LSTM"})


def forward_recurrences(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str
) -> list[onnx.NodeProto] | None:
    """A reversed or bidirectional recurrence as forward ones over reversed time; None for anything else.

    Sequences that end before the others (``sequence_lens``) are left alone: their reversal depends on values.
    """
    import onnx

    attributes = {attribute.name: attribute for attribute in node.attribute}
    direction = attributes["direction"].s.decode() if "direction" in attributes else "forward"
    given = [*node.input, *[""] * (8 - len(node.input))]
    if node.op_type not in _RECURRENCES or direction not in ("reverse", "bidirectional") or given[4]:
        return None
    if "layout" in attributes and attributes["layout"].i:
        return None
    steps = tensors[given[0]].shape[0]
    parts = ["forward", "reverse"] if direction == "bidirectional" else ["reverse"]
    made: list[onnx.NodeProto] = []
    results: list[list[str]] = [[] for _ in node.output]
    for index, part in enumerate(parts):
        base = f"{prefix}_{part}"
        inputs = [given[0]]
        if part == "reverse":
            inputs = [f"{base}_x"]
            made += _reversed(given[0], inputs[0], base, steps=steps)
        for position, name in enumerate(given[1:], start=1):
            inputs.append(_direction(name, position, index, len(parts), base, made))
        outputs = [f"{base}_out{i}" if name else "" for i, name in enumerate(node.output)]
        while inputs and not inputs[-1]:
            inputs.pop()
        single = onnx.helper.make_node(node.op_type, inputs, outputs)
        single.attribute.extend(_of_direction(attributes, index, len(parts)))
        made.append(single)
        for i, name in enumerate(outputs):
            if name and i == 0 and part == "reverse":
                made += _reversed(name, f"{name}_in_time", name, steps=steps)
                name = f"{name}_in_time"
            results[i].append(name)
    for i, name in enumerate(node.output):
        if name:  # directions lie on axis 1 of Y and on axis 0 of the last states
            made.append(onnx.helper.make_node("Concat", results[i], [name], axis=1 if i == 0 else 0))
    return made


def _reversed(source: str, target: str, base: str, *, steps: int) -> list[onnx.NodeProto]:
    """Time, the first axis, from its end to its beginning."""
    import onnx

    indices = f"{base}_indices"
    return [
        onnx.helper.make_node("Constant", [], [indices], value_ints=list(range(steps - 1, -1, -1))),
        onnx.helper.make_node("Gather", [source, indices], [target], axis=0),
    ]


def _direction(name: str, position: int, index: int, count: int, base: str, made: list[onnx.NodeProto]) -> str:
    """One direction's part of a weight or state, which lie along axis 0."""
    import onnx

    if not name or count == 1:
        return name
    target = f"{base}_in{position}"
    starts, ends, axes = (f"{target}_{part}" for part in ("starts", "ends", "axes"))
    for constant, value in ((starts, index), (ends, index + 1), (axes, 0)):
        made.append(onnx.helper.make_node("Constant", [], [constant], value_ints=[value]))
    made.append(onnx.helper.make_node("Slice", [name, starts, ends, axes], [target]))
    return target


def _of_direction(
    attributes: Mapping[str, onnx.AttributeProto], index: int, count: int
) -> Sequence[onnx.AttributeProto]:
    """Attributes of one forward recurrence; activations are listed direction by direction."""
    import onnx

    found = []
    for name, attribute in attributes.items():
        if name == "direction":
            continue
        copy = onnx.AttributeProto()
        copy.CopyFrom(attribute)
        for values in (copy.strings, copy.floats):
            if name.startswith("activation") and count == 2 and len(values) % 2 == 0:
                half = len(values) // 2
                values[:] = values[index * half : (index + 1) * half]
        found.append(copy)
    return found
