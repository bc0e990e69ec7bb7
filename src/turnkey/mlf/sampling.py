"""Sample inputs that fit a module: seeded, and in range where an input indexes something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import attribute
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_INDEXED = {"Gather": 0, "GatherElements": 0, "GatherND": 0}
_ELEMENTWISE = frozenset({"Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Concat", "Expand"})


def make_samples(
    inputs: Sequence[Tensor],
    *,
    count: int,
    seed: int = 0,
    limits: Mapping[str, int] | None = None,
) -> list[dict[str, np.ndarray]]:
    """Samples of standard normal floats, small integers and random booleans.

    Args:
        limits: exclusive upper bounds of integer inputs, by name (`index_limits`); 16 where none is known.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    bounds = limits or {}
    samples = []
    for _ in range(count):
        sample: dict[str, np.ndarray] = {}
        for tensor in inputs:
            kind = dtypes.of_name(tensor.dtype)
            values: np.ndarray
            if kind.name == "bool":
                values = generator.random(tensor.shape) < 0.5
            elif kind.code in (0, 1):
                high = min(bounds.get(tensor.name, 16), 1 << (kind.bits - (kind.code == 0)))
                values = generator.integers(0, max(1, high), tensor.shape)
            else:
                values = generator.standard_normal(tensor.shape)
            sample[tensor.name] = np.asarray(values).astype(kind.numpy()).reshape(tensor.shape)
        samples.append(sample)
    return samples


def index_limits(model: onnx.ModelProto, extents: Mapping[str, tuple[int, ...]]) -> dict[str, int]:
    """Upper bounds of inputs that select rows of a table: the smallest table that they reach.

    Args:
        extents: shapes of tensors, constants included.
    """
    limits: dict[str, int] = {}
    sources = {value.name: value.name for value in model.graph.input}
    for node in model.graph.node:
        if node.op_type in _ELEMENTWISE and node.input and node.input[0] in sources:
            sources[node.output[0]] = sources[node.input[0]]
        if node.op_type in _INDEXED and len(node.input) > 1 and node.input[1] in sources:
            axis = attribute(node, "axis", 0)
            shape = extents.get(node.input[0], ())
            if shape:
                name = sources[node.input[1]]
                extent = shape[axis % len(shape)]
                limits[name] = min(limits.get(name, extent), extent)
    return limits
