"""The mean or maximum over all places of an image; a maximum passes over NaN."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Stored
from turnkey.mlf.kernels.rows import reduced_axes
from turnkey.mlf.kernels.vectors import vectors
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import CHANNEL_LAST

if TYPE_CHECKING:
    import onnx

_MEANS = frozenset({"GlobalAveragePool", "ReduceMean"})

_CHANNEL_LAST = """\
for (idx_t n = 0; n < {batch}; ++n) {{
  const float *from = in0 + n * {size};
  float *to = out0 + n * {channels};
  idx_t c = 0;
  for (; c + TURNKEY_LANES <= {channels}; c += TURNKEY_LANES) {{
    turnkey_floats sum = turnkey_all({start});
    for (idx_t i = 0; i < {places}; ++i) sum = {vector};
    turnkey_store(to + c, sum{scale});
  }}
  for (; c < {channels}; ++c) {{
    float sum = {start};
    for (idx_t i = 0; i < {places}; ++i) sum = {scalar};
    to[c] = sum{scale};
  }}
}}"""
_ROW_MAJOR = """\
for (idx_t c = 0; c < {batch} * {channels}; ++c) {{
  const float *from = in0 + c * {places};
  float sum = {start};
  for (idx_t i = 0; i < {places}; ++i) sum = {single};
  out0[c] = sum{scale};
}}"""


def global_pool(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """GlobalAveragePool, GlobalMaxPool, and ReduceMean over all axes behind the channels, of float."""
    if node.op_type not in ("GlobalAveragePool", "GlobalMaxPool", "ReduceMean"):
        return None
    source = graph.tensors[node.input[0]]
    if source.dtype != "float32" or len(source.shape) < 3:
        return None
    rank = len(source.shape)
    if node.op_type == "ReduceMean" and reduced_axes(node, graph, rank) != list(range(2, rank)):
        return None
    return Claim(nodes=(node,), reads=(source.name,), make=partial(_made, node, graph))


def _made(node: onnx.NodeProto, graph: NodeGraph, layouts: Mapping[str, str]) -> Made:
    source = graph.tensors[node.input[0]]
    batch, channels, places = source.shape[0], source.shape[1], math.prod(source.shape[2:])
    mean, layout = node.op_type in _MEANS, layouts[source.name]
    there = f"from[c + i * {channels}]"
    fields = {
        "batch": batch,
        "channels": channels,
        "places": places,
        "size": channels * places,
        "start": "0.0f" if mean else "-TURNKEY_INFINITY",
        "scale": f" * (1.0f / {places}.0f)" if mean else "",
        "vector": f"sum + turnkey_load(&{there})" if mean else f"turnkey_max(turnkey_load(&{there}), sum)",
        "scalar": f"sum + {there}" if mean else f"{there} > sum ? {there} : sum",
        "single": "sum + from[i]" if mean else "from[i] > sum ? from[i] : sum",
    }
    kernel = Kernel(
        operators=(node.op_type.lower(),),
        inputs=("float",),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes),),
        statement=(_CHANNEL_LAST if layout == CHANNEL_LAST else _ROW_MAJOR).format(**fields),
        kind="global_pool",
        macs=0,
    )
    return Made(
        kernel=kernel,
        inputs=(Stored(name=source.name, layout=layout),),
        outputs=(Stored(name=node.output[0]),),
    )
