"""Chains of element-wise operators of float as one loop: each value is read once, and each result written once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from turnkey.mlf.kernels.activation import activation_of, scalar
from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Packed, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.kernels.vectors import vectors
from turnkey.mlf.node import attribute, is_standard
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR, dense_strides

if TYPE_CHECKING:
    import onnx

_EXPRESSIONS = {
    "Add": "({0} + {1})",
    "Sub": "({0} - {1})",
    "Mul": "({0} * {1})",
    "Div": "({0} / {1})",
    "Neg": "(-{0})",
    "Abs": "turnkey_abs({0})",
    "Exp": "turnkey_exp({0})",
    "Erf": "turnkey_erf({0})",
    "Reciprocal": "(1.0f / {0})",
}
_TWO = ("x", "x")
_LONGEST = 24
"""Operators of one chain: what fits into registers, and into the reader's head."""


class _Chain(NamedTuple):
    """Nodes whose results nothing outside reads, but for the one of ``output``; and what they read from outside."""

    nodes: tuple[onnx.NodeProto, ...]
    output: str
    leaves: tuple[str, ...]


def elementwise(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """The longest chain that begins with a node."""
    if _expression(node, graph, _TWO) is None or not _is_member(node, graph, graph.tensors[node.output[0]].shape):
        return None
    chain = _chain(node, graph)
    return Claim(
        nodes=chain.nodes,
        reads=tuple(name for name in chain.leaves if name not in graph.constants),
        make=partial(_made, chain, graph),
    )


def _is_member(node: onnx.NodeProto, graph: NodeGraph, shape: tuple[int, ...]) -> bool:
    names = [name for name in (*node.input, *node.output) if name]
    if not is_standard(node) or any(
        name not in graph.tensors or graph.tensors[name].dtype != "float32" or not graph.tensors[name].bytes
        for name in names
    ):
        return False
    return graph.tensors[node.output[0]].shape == shape and _expression(node, graph, _TWO) is not None


def _expression(node: onnx.NodeProto, graph: NodeGraph, values: Sequence[str]) -> str | None:
    """A node as C, given its operands; None where we have none."""
    if node.op_type in _EXPRESSIONS:
        return _EXPRESSIONS[node.op_type].format(*values)
    if node.op_type == "Pow":
        power = scalar(node.input[1], graph)
        return {1.0: "{0}", 2.0: "({0} * {0})", 3.0: "({0} * {0} * {0})"}.get(power or 0.0, "").format(*values) or None
    if node.op_type == "HardSigmoid":
        slope, offset = (c_float(attribute(node, name, value)) for name, value in (("alpha", 0.2), ("beta", 0.5)))
        inner = f"turnkey_fma({values[0]}, turnkey_all({slope}), turnkey_all({offset}))"
        return f"turnkey_min(turnkey_all(1.0f), turnkey_max(turnkey_all(0.0f), {inner}))"
    activation = activation_of(node, graph)
    return None if activation is None else f"turnkey_activate({values[0]}, {activation.c_arguments()})"


def _chain(first: onnx.NodeProto, graph: NodeGraph) -> _Chain:
    """Grown node by node; kept at the greatest length at which a single result is read from outside."""
    shape = graph.tensors[first.output[0]].shape
    members, best = [first], [first]
    while len(members) < _LONGEST:
        made = {member.output[0] for member in members}
        users = [user for name in made for user in graph.users(name) if user.output[0] not in made]
        following = [user for user in users if _is_member(user, graph, shape) and _is_free(user, graph)]
        waiting = {user.output[0] for user in following}
        ready = [user for user in following if not waiting & {*user.input}]
        if not ready:
            break
        members = [*members, min(ready, key=lambda user: user.output[0])]
        if len(_exposed(members, graph)) == 1:
            best = members
    made = {member.output[0] for member in best}
    leaves = dict.fromkeys(name for member in best for name in _values_of(member) if name not in made)
    return _Chain(tuple(best), _exposed(best, graph)[0], tuple(leaves))


def _is_free(node: onnx.NodeProto, graph: NodeGraph) -> bool:
    """Whether no other template claims a node."""
    return graph.producer(node.output[0]) is node


def _values_of(node: onnx.NodeProto) -> list[str]:
    """Inputs that are computed with; bounds and exponents are part of the text."""
    return list(node.input[:1]) if node.op_type in ("Clip", "Pow") else list(node.input)


def _exposed(members: Sequence[onnx.NodeProto], graph: NodeGraph) -> list[str]:
    made = {member.output[0] for member in members}
    return [
        name
        for name in (member.output[0] for member in members)
        if graph.is_output(name)
        or any(user.output[0] not in made for user in graph.users(name))
        or not graph.users(name)
    ]


class _Loop(NamedTuple):
    """One axis of the result in memory, and how far each operand moves along it; the result's own stride is last."""

    extent: int
    strides: tuple[int, ...]


def _made(chain: _Chain, graph: NodeGraph, layouts: Mapping[str, str]) -> Made:
    shape = graph.tensors[chain.output].shape
    literals = {name: value for name in chain.leaves if (value := scalar(name, graph)) is not None}
    operands = [name for name in chain.leaves if name not in literals]
    whole = [name for name in operands if name not in graph.constants and graph.tensors[name].shape == shape]
    last = [0, *range(2, len(shape)), 1]
    apart = {  # values of neighbouring channels do not lie side by side
        name
        for name in operands
        if name not in whole and len(shape) > 2 and _broadcast(graph.tensors[name].shape, shape, last)[-1] > 1
    }
    turns = whole and all(layouts[name] == CHANNEL_LAST for name in whole) and apart <= graph.constants.keys()
    layout, order = (CHANNEL_LAST, last) if turns else (ROW_MAJOR, list(range(len(shape))))
    packed = {name: _channel_last(name, graph, order) for name in apart} if turns else {}
    physical = [shape[axis] for axis in order]
    strides = [
        dense_strides(physical)
        if name in whole
        else _broadcast([axis.extent for axis in packed[name].axes], physical, range(len(shape)))
        if name in packed
        else _broadcast(graph.tensors[name].shape, shape, order)
        for name in operands
    ]
    loops = _merged(
        [_Loop(*axis) for axis in zip(physical, zip(*strides, dense_strides(physical), strict=True), strict=True)]
    )
    values = {name: f"turnkey_all({c_float(value)})" for name, value in literals.items()}
    values.update({name: f"x{index}" for index, name in enumerate(operands)})
    lines = []
    for index, node in enumerate(chain.nodes):
        expression = _expression(node, graph, [values[name] for name in _values_of(node)])
        lines.append(f"  const turnkey_floats y{index} = {expression};")
        values[node.output[0]] = f"y{index}"
    parameters = ", ".join(f"turnkey_floats x{index}" for index in range(len(operands)))
    kernel = Kernel(
        operators=tuple(node.op_type.lower() for node in chain.nodes),
        inputs=("float",) * len(operands),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes),),
        code=f"TURNKEY_INLINE turnkey_floats @value({parameters}) {{\n"
        + "\n".join((*lines, f"  return {values[chain.output]};\n}}\n")),
        statement=_statement(loops, len(operands)),
        kind="elementwise",
        overwrites=operands.index(whole[0]) if whole else None,
        macs=0,
    )
    return Made(
        kernel=kernel,
        inputs=tuple(
            packed.get(name) or Stored(name=name, layout=layout if name in whole else ROW_MAJOR) for name in operands
        ),
        outputs=(Stored(name=chain.output, layout=layout),),
    )


def _channel_last(name: str, graph: NodeGraph, order: Sequence[int]) -> Packed:
    """A constant with as many axes as the result, or fewer, whose axes lie in that order."""
    shape = graph.tensors[name].shape
    missing = len(order) - len(shape)
    return Packed(name=name, axes=tuple(Axis(shape[a - missing], a - missing, 1) for a in order if a >= missing))


def _broadcast(source: Sequence[int], target: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Strides of a row-major tensor along the axes of the result, in their order in memory."""
    aligned = (*(1,) * (len(target) - len(source)), *source)
    strides = [0 if extent == 1 else stride for extent, stride in zip(aligned, dense_strides(aligned), strict=True)]
    return tuple(strides[axis] for axis in order)


def _merged(loops: Sequence[_Loop]) -> list[_Loop]:
    """As few axes as possible; at least one, whose operands lie side by side, or are one value."""
    found: list[_Loop] = []
    for loop in loops:
        if loop.extent == 1:
            continue
        if found and found[-1].strides == tuple(stride * loop.extent for stride in loop.strides):
            found[-1] = _Loop(found[-1].extent * loop.extent, loop.strides)
        else:
            found.append(loop)
    return found or [_Loop(1, (0,) * len(loops[0].strides) if loops else ())]


def _statement(loops: Sequence[_Loop], count: int) -> str:
    *outer, inner = loops
    strides = inner.strides or (0,) * (count + 1)
    contiguous = [stride in (0, 1) for stride in strides[:count]]
    lines = [f"for (idx_t b{i} = 0; b{i} < {loop.extent}; ++b{i}) {{" for i, loop in enumerate(outer)]
    for operand in range(count + 1):
        offset = "".join(f" + b{i} * {loop.strides[operand]}" for i, loop in enumerate(outer) if loop.strides[operand])
        lines.append(
            f"const float *a{operand} = in{operand}{offset};" if operand < count else f"float *to = out0{offset};"
        )
    one = [f"turnkey_all(*a{i})" for i in range(count)]

    def call(load: str) -> str:
        return ", ".join(load.format(f"a{i} + i") if strides[i] and contiguous[i] else one[i] for i in range(count))

    whole = f"turnkey_store(to + i, @value({call('turnkey_load({})')}));"
    part = call(f"turnkey_load_part({{}}, {inner.extent} % TURNKEY_LANES)")
    lines += [
        "idx_t i = 0;",
        f"for (; i + TURNKEY_LANES <= {inner.extent}; i += TURNKEY_LANES) {whole}",
        f"if ({inner.extent} % TURNKEY_LANES)",
        f"  turnkey_store_part(to + i, @value({part}), {inner.extent} % TURNKEY_LANES);",
    ]
    return "\n".join((*lines, *["}"] * len(outer)))
