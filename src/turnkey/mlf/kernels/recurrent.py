"""LSTM and GRU layers: the input's products for a stretch of steps at once, then one product and the gates per step.

Weights are packed into panels, one set per direction. What a layer needs beside its results (sums of all gates for a
stretch of steps, states that it does not return) is scratch.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Operand, Packed, Stored
from turnkey.mlf.kernels.matmul import PANEL
from turnkey.mlf.kernels.packing import Axis, pack
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel

if TYPE_CHECKING:
    import numpy as np
    import onnx

_GATES = {"LSTM": 4, "GRU": 3}
_ACTIVATIONS = {"LSTM": [b"Sigmoid", b"Tanh", b"Tanh"], "GRU": [b"Sigmoid", b"Tanh"]}
_PLAIN = (("clip", None), ("input_forget", 0), ("layout", 0))
"""Attributes with the only values that the templates know."""
_ROWS = 12
"""Of a product that is as fast as larger ones: its result is scratch."""


class _Layer(NamedTuple):
    """Sizes of a layer, and what it is."""

    operator: str
    steps: int
    batch: int
    inputs: int
    hidden: int
    directions: int
    reverse: bool
    late_reset: bool

    @property
    def sums(self) -> int:
        """Values per step and row of the batch in front of the gates."""
        return _GATES[self.operator] * self.hidden

    @property
    def stretch(self) -> int:
        """Steps whose input products are made at once: rows for two tiles, and all stretches of about one length."""
        most = -(-_ROWS // self.batch)
        return -(-self.steps // -(-self.steps // most))


def recurrent(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """LSTM and GRU of float with constant weights and the usual activations, in any direction."""
    if node.op_type not in _GATES or not _is_usual(node, graph):
        return None
    steps, batch, inputs = graph.tensors[node.input[0]].shape
    directions, _, hidden = graph.tensors[node.input[2]].shape
    layer = _Layer(
        operator=node.op_type,
        steps=steps,
        batch=batch,
        inputs=inputs,
        hidden=hidden,
        directions=directions,
        reverse=attribute(node, "direction", b"forward") == b"reverse",
        late_reset=bool(attribute(node, "linear_before_reset", 0)),
    )
    names = [node.input[0], *(_given(node, index) for index in (5, 6))]
    reads = tuple(name for name in dict.fromkeys(names) if name and name not in graph.constants)
    return Claim(nodes=(node,), reads=reads, make=partial(_made, node, layer, graph))


def _given(node: onnx.NodeProto, index: int) -> str:
    return str(node.input[index]) if len(node.input) > index else ""


def _is_usual(node: onnx.NodeProto, graph: NodeGraph) -> bool:
    directions = graph.tensors[node.input[2]].shape[0]
    expected = _ACTIVATIONS[node.op_type] * directions
    return (
        graph.tensors[node.input[0]].dtype == "float32"
        and all(name in graph.constants for name in (*node.input[1:3], _given(node, 3)) if name)
        and not _given(node, 4)  # lengths of their own
        and not _given(node, 7)  # peepholes
        and all(attribute(node, name, usual) == usual for name, usual in _PLAIN)
        and attribute(node, "activations", expected) == expected
    )


class _Arguments:
    """Operands of a kernel as they come, and the names that its text has for them."""

    def __init__(self) -> None:
        self.operands: list[Operand] = []

    def add(self, operand: Operand) -> str:
        self.operands.append(operand)
        return f"in{len(self.operands) - 1}"


def _made(node: onnx.NodeProto, layer: _Layer, graph: NodeGraph, _layouts: Mapping[str, str]) -> Made:
    arguments, scratch = _Arguments(), _Scratch()
    results = {role: name for role, name in zip(("y", "h", "c"), node.output, strict=False) if name}
    outputs = {role: f"out{index}" for index, role in enumerate(results)}
    arguments.add(Stored(name=node.input[0]))
    weights = arguments.add(_panels(node.input[1], layer, layer.inputs))
    biases = graph.constants.get(_given(node, 3))
    bias, late_bias = _biases(node.input[3], biases, layer, arguments) if biases is not None else ("", "")
    rows = layer.batch * layer.hidden
    sums = scratch.take(layer.stretch * layer.batch * layer.sums)
    state = f"{outputs['h']} + d * {rows}" if "h" in outputs else scratch.take(rows)
    first_bias = f"{bias} + d * {layer.sums}" if bias else "NULL"
    lines = [
        f"float *sums = {sums};",
        f"for (int d = 0; d < {layer.directions}; ++d) {{",
        f"  const turnkey_after plain = {{1.0f, {first_bias}, NULL, 0, TURNKEY_NONE, 0.0f, 0.0f}};",
        f"  float *state = {state};",
    ]
    starts = [("state", 5)]
    if layer.operator == "LSTM":
        cell = f"{outputs['c']} + d * {rows}" if "c" in outputs else scratch.take(rows)
        lines.append(f"  float *cell = {cell};")
        starts.append(("cell", 6))
    for target, index in starts:
        name = _given(node, index)
        source = f"{arguments.add(Stored(name=name))}[d * {rows} + i]" if name else "0.0f"
        lines.append(f"  for (idx_t i = 0; i < {rows}; ++i) {target}[i] = {source};")
    lines += _input_products(layer, weights)
    lines += [
        "    for (int i = 0; i < count; ++i) {",
        "      const int t = backwards ? count - 1 - i : i;",
        f"      float *now = sums + t * {layer.batch * layer.sums};",
        *(f"      {line}" for line in _step(node, layer, graph, arguments, scratch, late_bias)),
    ]
    if "y" in outputs:
        target = f"{outputs['y']} + ((start + t) * {layer.directions} + d) * {rows}"
        lines.append(f"      memcpy({target}, state, {4 * rows});")
    lines += ["    }", "  }", "}"]
    kernel = Kernel(
        operators=(layer.operator.lower(),),
        inputs=("float",) * len(arguments.operands),
        outputs=("float",) * len(outputs),
        helpers=(vectors(graph.vector_bytes), c_text("gemm"), c_text("recurrent")),
        statement="\n".join(lines),
        includes=("string.h",),
        scratch_bytes=scratch.bytes,
        kind="recurrent",
        macs=layer.directions * layer.steps * layer.batch * layer.sums * (layer.inputs + layer.hidden),
    )
    return Made(
        kernel=kernel,
        inputs=tuple(arguments.operands),
        outputs=tuple(Stored(name=name) for name in results.values()),
    )


def _input_products(layer: _Layer, weights: str) -> list[str]:
    """C text that opens the loop over stretches of steps, and makes the sums of one from the input."""
    steps, stretch = layer.steps, layer.stretch
    backwards = "d == 1" if layer.directions == 2 else str(int(layer.reverse))

    def product(count: int) -> str:
        return _gemm(count * layer.batch, layer.sums, layer.inputs, "x", weights, "sums", "plain")

    lines = [
        f"  const int backwards = {backwards};",
        f"  for (int first = 0; first < {steps}; first += {stretch}) {{",
        f"    const int count = {steps} - first < {stretch} ? {steps} - first : {stretch};",
        f"    const int start = backwards ? {steps} - first - count : first;",
        f"    const float *x = in0 + start * {layer.batch * layer.inputs};",
    ]
    if not steps % stretch:
        return [*lines, f"    {product(stretch)}"]
    return [*lines, f"    if (count == {stretch}) {product(stretch)}", f"    else {product(steps % stretch)}"]


class _Scratch:
    """Parts of a kernel's scratch, each at a multiple of 64 bytes from its start."""

    def __init__(self) -> None:
        self.bytes = 0

    def take(self, floats: int) -> str:
        start = self.bytes
        self.bytes += -(-4 * floats // 64) * 64
        return f"(float *)(void *)(scratch + {start})" if start else "(float *)(void *)scratch"


def _step(
    node: onnx.NodeProto, layer: _Layer, graph: NodeGraph, arguments: _Arguments, scratch: _Scratch, late_bias: str
) -> list[str]:
    """C text of one step, from the sums ``now`` of the input and from ``state``."""
    batch, hidden, width = layer.batch, layer.hidden, layer.sums
    if layer.operator == "LSTM":
        recurrence = arguments.add(_panels(node.input[2], layer, hidden))
        return [
            f"const turnkey_after after = {{1.0f, NULL, now, {width}, TURNKEY_NONE, 0.0f, 0.0f}};",
            _gemm(batch, width, hidden, "state", recurrence, "now", "after"),
            f"for (int b = 0; b < {batch}; ++b)",
            f"  turnkey_lstm_row({hidden}, now + b * {width}, cell + b * {hidden}, state + b * {hidden});",
        ]
    if layer.late_reset:
        recurrence = arguments.add(_panels(node.input[2], layer, hidden))
        bias = f"{late_bias} + d * {width}" if late_bias else "NULL"
        return [
            f"float *of_state = {scratch.take(batch * width)};",
            f"const turnkey_after after = {{1.0f, {bias}, NULL, 0, TURNKEY_NONE, 0.0f, 0.0f}};",
            _gemm(batch, width, hidden, "state", recurrence, "of_state", "after"),
            f"for (int b = 0; b < {batch}; ++b)",
            f"  turnkey_gru_late_row({hidden}, now + b * {width}, of_state + b * {width}, state + b * {hidden},",
            f"                       state + b * {hidden});",
        ]
    weights = graph.constants[node.input[2]]
    gates, candidate = (
        arguments.add(Derived(name=f"{node.input[2]}.{part}", array=pack(values, _panel_axes(values.shape))))
        for part, values in (("gates", weights[:, : 2 * hidden]), ("candidate", weights[:, 2 * hidden :]))
    )
    return [
        f"float *left = {scratch.take(batch * hidden)};",
        f"const turnkey_after after = {{1.0f, NULL, now, {width}, TURNKEY_NONE, 0.0f, 0.0f}};",
        f"const turnkey_after behind = {{1.0f, NULL, now + {2 * hidden}, {width}, TURNKEY_NONE, 0.0f, 0.0f}};",
        _gemm(batch, 2 * hidden, hidden, "state", gates, "now", "after", row=width),
        f"for (int b = 0; b < {batch}; ++b)",
        f"  turnkey_gru_reset_row({hidden}, now + b * {width} + {hidden}, state + b * {hidden}, left + b * {hidden});",
        _gemm(batch, hidden, hidden, "left", candidate, f"now + {2 * hidden}", "behind", row=width),
        f"for (int b = 0; b < {batch}; ++b)",
        f"  turnkey_gru_early_row({hidden}, now + b * {width}, now + b * {width} + {2 * hidden},",
        f"                        state + b * {hidden}, state + b * {hidden});",
    ]


def _gemm(m: int, n: int, depth: int, a: str, b: str, c: str, after: str, *, row: int = 0) -> str:
    panels = -(-n // PANEL)
    product = f"{m}, {n}, {depth}, {a}, {depth}, 1"
    weights = f"{b} + d * {panels * PANEL * depth}, {depth * PANEL}, {PANEL}"
    return f"turnkey_gemm(TURNKEY_ROWS, {product}, {weights}, {c}, {row or n}, {after});"


def _panels(name: str, layer: _Layer, depth: int) -> Packed:
    return Packed(name=name, axes=_panel_axes((layer.directions, layer.sums, depth)))


def _panel_axes(shape: tuple[int, ...]) -> tuple[Axis, ...]:
    """[direction][column][depth] into [direction][columns / 16][depth][16]."""
    directions, columns, depth = shape
    return Axis(directions, 0, 1), Axis(-(-columns // PANEL), 1, PANEL), Axis(depth, 2, 1), Axis(PANEL, 1, 1)


def _biases(name: str, biases: np.ndarray, layer: _Layer, arguments: _Arguments) -> tuple[str, str]:
    """Operands that hold the biases: of the input's product, and of the state's where the reset gate is late."""
    import numpy as np

    of_input, of_state = biases[:, : layer.sums], biases[:, layer.sums :]
    if layer.operator == "GRU" and layer.late_reset:
        parts = {"input": of_input, "state": of_state}
        first, second = (
            arguments.add(Derived(name=f"{name}.{part}", array=np.ascontiguousarray(values)))
            for part, values in parts.items()
        )
        return first, second
    return arguments.add(Derived(name=f"{name}.sum", array=of_input + of_state)), ""
