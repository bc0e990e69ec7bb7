"""Pooling of bytes, channel-last: the largest of a window, or its mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.quantized_group import Group, Quanta, group_of
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.window import Window, window_of
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import CHANNEL_LAST

if TYPE_CHECKING:
    import onnx

_WINDOWS = """\
for (idx_t n = 0; n < {images}; ++n)
  for (idx_t v = 0; v < {result_height}; ++v)
    for (idx_t u = 0; u < {result_width}; ++u) {{
      const idx_t top = v * {stride_y} - {before_y}, left = u * {stride_x} - {before_x};
      {byte} *to = out0 + ((n * {result_height} + v) * {result_width} + u) * {channels};
{begin}
      for (idx_t i = 0; i < {extent_y}; ++i)
        for (idx_t j = 0; j < {extent_x}; ++j) {{
          const idx_t y = top + i * {dilation_y}, x = left + j * {dilation_x};
          if (y < 0 || y >= {height} || x < 0 || x >= {width}) continue;
          const {byte} *from = in0 + ((n * {height} + y) * {width} + x) * {channels};
{each}
        }}
{end}
    }}"""
_LARGEST = {
    "begin": "      memset(to, {lowest}, {channels});",
    "each": "          for (idx_t c = 0; c < {channels}; ++c) to[c] = from[c] > to[c] ? from[c] : to[c];",
    "end": "",
}
_MEAN = {
    "begin": """\
      int32_t *sums = (int32_t *)(void *)scratch;
      idx_t count = 0;
      memset(sums, 0, {channels} * sizeof *sums);""",
    "each": """\
          for (idx_t c = 0; c < {channels}; ++c) sums[c] += from[c] - ({zero_in});
          ++count;""",
    "end": """\
      const turnkey_target target = {{{target}}};
      const float factor = {ratio} / (float)count;
      idx_t c = 0;
      for (; c + TURNKEY_SUM_LANES <= {channels}; c += TURNKEY_SUM_LANES)
        turnkey_put_real(turnkey_reals_of(turnkey_load_sums(sums + c)) * factor, &target, to + c, TURNKEY_SUM_LANES);
      for (; c < {channels}; ++c) turnkey_put_real(turnkey_reals_all((float)sums[c] * factor), &target, to + c, 1);""",
}


def quantized_pool(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """MaxPool, AveragePool, GlobalMaxPool and GlobalAveragePool of a dequantised tensor, quantised again."""
    group = group_of(node, graph, ("MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"))
    if group is None or group.result is None or len(group.operator.output) > 1 or len(group.chain) > 1:
        return None
    source = group.inputs[0]
    if source is None or source.quantum.axis is not None or source.quantum.dtype != group.result.dtype:
        return None
    if "Max" in group.operator.op_type and not source.quantum.is_same(group.result):
        return None
    window = _window(group, source, graph)
    if window is None or not window.always_holds_places:
        return None
    if window.is_padded and attribute(group.operator, "count_include_pad", 0):
        return None
    return Claim(nodes=group.nodes, reads=(source.name,), make=lambda layouts: _made(group, source, window, graph))


def _window(group: Group, source: Quanta, graph: NodeGraph) -> Window | None:
    image, result = graph.tensors[source.name].shape[2:], graph.tensors[group.output].shape[2:]
    extent = image if group.operator.op_type.startswith("Global") else attribute(group.operator, "kernel_shape")
    return window_of(group.operator, image=image, result=result, extent=extent, padded=())


def _made(group: Group, source: Quanta, window: Window, graph: NodeGraph) -> Made:
    result = group.result
    assert result is not None  # a group without one is not claimed
    images, channels = graph.tensors[source.name].shape[:2]
    is_mean = "Average" in group.operator.op_type
    fields = {
        "images": images,
        "channels": channels,
        "byte": result.c_type,
        **window.fields,
        "lowest": result.low,
        "zero_in": source.quantum.single_zero,
        "ratio": c_float(float(result.factor_from(source.quantum.scale)[0])),
        "target": result.c_target(),
    }
    parts = {name: text.format(**fields) for name, text in (_MEAN if is_mean else _LARGEST).items()}
    kernel = Kernel(
        operators=("int8", group.operator.op_type.lower()),
        inputs=(result.c_type,),
        outputs=(result.c_type,),
        helpers=(vectors(graph.vector_bytes), c_text("bytes")) if is_mean else (),
        statement=_WINDOWS.format(**fields, **parts),
        includes=("string.h",),
        scratch_bytes=4 * channels if is_mean else 0,
        kind="quantized_pool",
        macs=0,
    )
    return Made(
        kernel=kernel,
        inputs=(Stored(name=source.name, layout=CHANNEL_LAST),),
        outputs=(Stored(name=group.output, layout=CHANNEL_LAST),),
    )
