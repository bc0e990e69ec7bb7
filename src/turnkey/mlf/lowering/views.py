"""Steps that only move bytes: views, concatenations, splits and slices on the outermost axis."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import attribute, describe, is_standard
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_VIEWS = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Cast", "CastLike"})


def byte_step(node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]) -> Step | None:
    """The node as a step that copies bytes in their order, or None if it is more than that."""
    if (
        not is_standard(node)
        or not node.input
        or any(name and name not in tensors for name in (node.input[0], *node.output))
    ):
        return None
    if node.op_type in _VIEWS and _is_view(node, tensors, constants):
        return copy_step(node, tensors[node.input[0]], tensors[node.output[0]])
    if node.op_type == "Concat" and all(name in tensors for name in node.input):
        return _concat(node, tensors)
    if node.op_type == "Split":
        return _split(node, tensors)
    if node.op_type == "Slice":
        return _slice(node, tensors, constants)
    return None


def copy_step(node: onnx.NodeProto, source: Tensor, target: Tensor) -> Step:
    """A view: one tensor's bytes under another shape."""
    return Step(
        kernel=_copies(node.op_type.lower(), source.dtype, [source.bytes], [target.bytes], [(0, 0, 0, 0)]),
        inputs=(source.name,),
        outputs=(target.name,),
        view=True,
        nodes=(describe(node),),
    )


def _is_view(node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]) -> bool:
    source, target = tensors[node.input[0]], tensors[node.output[0]]
    if source.dtype != target.dtype or source.bytes != target.bytes:
        return False
    if node.op_type == "Dropout":
        training = node.input[2] if len(node.input) > 2 else ""
        return len([name for name in node.output if name]) == 1 and (
            not training or (training in constants and not bool(constants[training]))
        )
    return True


def _copies(
    operator: str,
    dtype: str,
    inputs: Sequence[int],
    outputs: Sequence[int],
    moves: Sequence[tuple[int, int, int, int]],
) -> Kernel:
    """A kernel of memory copies.

    Args:
        inputs, outputs: sizes in bytes; one of them is a single one.
        moves: (input, byte offset in it, output, byte offset in it), the size being that of the smaller side.
    """
    lines = []
    for source, start, target, place in moves:
        size = min(inputs[source], outputs[target])
        if size:
            left = f"(char *)out{target} + {place}" if place else f"out{target}"
            right = f"(const char *)in{source} + {start}" if start else f"in{source}"
            lines.append(f"memcpy({left}, {right}, {size});")
    unused = [f"(void)in{index};" for index, size in enumerate(inputs) if not size]
    unused += [f"(void)out{index};" for index, size in enumerate(outputs) if not size]
    c_type = dtypes.of_name(dtype).c_type
    return Kernel(
        operators=(operator,),
        inputs=(c_type,) * len(inputs),
        outputs=(c_type,) * len(outputs),
        statement="\n".join((*lines, *unused)),
        includes=("string.h",),
        kind="copy",
        macs=0,
    )


def _concat(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> Step | None:
    target = tensors[node.output[0]]
    axis = attribute(node, "axis", 0) % max(1, len(target.shape))
    if math.prod(target.shape[:axis]) != 1:
        return None
    sizes = [tensors[name].bytes for name in node.input]
    places = [sum(sizes[:index]) for index in range(len(sizes))]
    return Step(
        kernel=_copies(
            "concat", target.dtype, sizes, [target.bytes], [(i, 0, 0, place) for i, place in enumerate(places)]
        ),
        inputs=tuple(node.input),
        outputs=(target.name,),
        places=tuple(places),
        nodes=(describe(node),),
    )


def _split(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> Step | None:
    source = tensors[node.input[0]]
    axis = attribute(node, "axis", 0) % max(1, len(source.shape))
    if math.prod(source.shape[:axis]) != 1 or not all(node.output):
        return None
    sizes = [tensors[name].bytes for name in node.output]
    parts = [sum(sizes[:index]) for index in range(len(sizes))]
    return _parts(node, source, sizes, parts)


def _slice(node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]) -> Step | None:
    source, target = tensors[node.input[0]], tensors[node.output[0]]
    if len(node.input) < 3 or not all(name in constants for name in node.input[1:] if name):
        return None
    starts = [int(value) for value in constants[node.input[1]]]
    axes = _values(node, 3, constants) or list(range(len(starts)))
    steps = _values(node, 4, constants) or [1] * len(starts)
    cut = [axis for axis, (a, b) in enumerate(zip(source.shape, target.shape, strict=True)) if a != b]
    if len(cut) != 1 or any(step != 1 for step in steps) or math.prod(source.shape[: cut[0]]) != 1:
        return None
    extent = source.shape[cut[0]]
    start = next((value for axis, value in zip(axes, starts, strict=True) if axis % len(source.shape) == cut[0]), 0)
    start = min(max(start + extent if start < 0 else start, 0), extent)
    unit = source.bytes // extent if extent else 0
    return _parts(node, source, [target.bytes], [start * unit])


def _parts(node: onnx.NodeProto, source: Tensor, sizes: list[int], parts: list[int]) -> Step:
    return Step(
        kernel=_copies(
            node.op_type.lower(), source.dtype, [source.bytes], sizes, [(0, p, i, 0) for i, p in enumerate(parts)]
        ),
        inputs=(source.name,),
        outputs=tuple(node.output),
        parts=tuple(parts),
        nodes=(describe(node),),
    )


def _values(node: onnx.NodeProto, index: int, constants: Mapping[str, np.ndarray]) -> list[int]:
    name = node.input[index] if len(node.input) > index else ""
    return [int(value) for value in constants[name]] if name else []
