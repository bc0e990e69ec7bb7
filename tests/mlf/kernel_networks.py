"""Small graphs that together use every float template of matrix products, rows and recurrent layers."""

from __future__ import annotations

import numpy as np
from several import Several

_GATES = {"LSTM": 4, "GRU": 3}


def products(several: Several) -> None:
    """Products in every place in which a network has them."""
    several.output(
        several.add("MatMul", several.input(7), several.input(7, 9)),
        several.add("MatMul", several.input(4, 7), several.input(7)),
        several.add("MatMul", several.input(7), several.weight(7)),
        several.add("MatMul", several.input(3, 5, 7), several.weight(3, 7, 20)),
        several.add("MatMul", several.weight(5, 7), several.input(3, 7, 20)),
        several.add("Gemm", several.input(5, 6), several.weight(6, 4), several.weight(5, 4), beta=0.5),
        several.add("Gemm", several.input(5, 6), several.input(6, 4), several.input(5, 4)),
        attention(several, 8, 4, 16),
        attention(several, 5, 2, 6),
        feed_forward(several, 6, 20, 33),
    )


def attention(several: Several, length: int, heads: int, width: int) -> str:
    """Scaled products of queries and keys, softmax, and the mean of values, each head apart."""
    shape = (1, length, heads, width)
    query = several.add("Transpose", several.input(*shape), perm=[0, 2, 1, 3])
    key = several.add("Transpose", several.input(*shape), perm=[0, 2, 3, 1])
    value = several.add("Transpose", several.input(*shape), perm=[0, 2, 1, 3])
    scale = several.constant(np.float32(width**-0.5))
    scores = several.add("Mul", several.add("MatMul", query, key), scale)
    mixed = several.add("MatMul", several.add("Softmax", scores, axis=-1), value)
    return several.add("Transpose", mixed, perm=[0, 2, 1, 3])


def feed_forward(several: Several, length: int, width: int, wide: int) -> str:
    """Two products with biases, GELU in nodes of its own between them, and a residual."""
    x = several.input(1, length, width)
    y = several.add("Add", several.add("MatMul", x, several.weight(width, wide)), several.weight(wide))
    error = several.add("Erf", several.add("Div", y, several.constant(np.float32(2**0.5))))
    bent = several.add("Mul", y, several.add("Add", error, several.constant(np.float32(1))))
    bent = several.add("Mul", bent, several.constant(np.float32(0.5)))
    return several.add("Add", several.add("MatMul", bent, several.weight(wide, width)), x)


def rows(several: Several) -> None:
    """Operators over rows of many lengths, and element-wise results that are read twice."""
    for count in (1, 3, 8, 31, 50):
        several.output(several.add("Softmax", several.input(4, count), axis=-1))
        norm = several.add("LayerNormalization", several.input(4, count), several.weight(count), several.weight(count))
        several.output(norm, several.add("ReduceSum", norm, several.constant(np.array([-1]))))
    several.output(several.add("LayerNormalization", several.input(2, 3, 5), several.weight(3, 5), axis=1))
    several.output(several.add("ReduceMax", several.input(2, 19), several.constant(np.array([1])), keepdims=0))
    several.output(several.add("ReduceMean", several.input(2, 19), several.constant(np.array([0, 1]))))
    read_twice = several.add("Neg", several.input(4, 9))
    product = several.add("MatMul", read_twice, several.weight(9, 9))
    several.output(several.add("Add", product, read_twice), several.add("Exp", read_twice))
    low, high = (several.constant(np.float32(value)) for value in (-0.5, 0.25))
    several.output(
        several.add("Pow", several.add("Clip", several.input(5), low, high), several.constant(np.float32(3)))
    )
    several.output(several.add("Gelu", several.input(3, 18), approximate="tanh"))
    twice = several.input(3, 33)
    several.output(several.add("Mul", several.add("Sigmoid", twice), twice))


def transpositions(several: Several) -> None:
    """Axes in other orders: rows that stay whole, matrices, and no pattern at all."""
    for shape, perm in (
        ((2, 3, 5, 16), [0, 2, 1, 3]),
        ((2, 20, 11), [0, 2, 1]),
        ((9, 17), [1, 0]),
        ((2, 3, 4, 5), [3, 1, 2, 0]),
        ((6, 1, 7), [1, 2, 0]),
    ):
        several.output(several.add("Transpose", several.input(*shape), perm=perm))


def layers(several: Several) -> None:
    """Recurrent layers in every direction, with and without biases and states."""
    layer(several, "LSTM", steps=5, batch=1, inputs=7, hidden=16)
    layer(several, "LSTM", steps=11, batch=2, inputs=4, hidden=5, direction="reverse", bias=False, results=1)
    layer(several, "GRU", steps=3, batch=2, inputs=4, hidden=5, direction="reverse", bias=False, linear_before_reset=1)
    layer(several, "GRU", steps=25, batch=1, inputs=7, hidden=16, linear_before_reset=1)
    wide_layers(several)


def wide_layers(several: Several) -> None:
    """One layer of each kind, in both directions, with states."""
    sizes = {"steps": 2, "batch": 3, "inputs": 4, "hidden": 9, "direction": "bidirectional", "states": True}
    layer(several, "LSTM", **sizes)
    layer(several, "GRU", **sizes, results=1)
    layer(several, "GRU", **sizes, linear_before_reset=1)


def layer(
    several: Several,
    operator: str,
    *,
    steps: int,
    batch: int,
    inputs: int,
    hidden: int,
    direction: str = "forward",
    bias: bool = True,
    states: bool = False,
    results: int = 3,
    **attributes: int,
) -> None:
    """One recurrent layer, whose results are outputs."""
    directions, count = (2 if direction == "bidirectional" else 1), _GATES[operator] * hidden
    names = [several.input(steps, batch, inputs), several.small_weight(directions, count, inputs)]
    names += [several.small_weight(directions, count, hidden)]
    names += [several.small_weight(directions, 2 * count) if bias else "", ""]
    kept = 2 if operator == "LSTM" else 1
    names += [several.input(directions, batch, hidden) for _ in range(kept)] if states else []
    wanted = min(results, 1 + kept)
    first = several.add(
        operator, *names, outputs=wanted, hidden_size=hidden, direction=direction.encode(), **attributes
    )
    several.output(first, *(f"{first}_{index}" for index in range(1, wanted)))
