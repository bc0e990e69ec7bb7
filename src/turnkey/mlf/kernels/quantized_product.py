"""Convolutions and matrix products of bytes with constant weights, summed in 32 bits.

Claimed are operators between DequantizeLinear and QuantizeLinear (or with a result of floats), and ONNX's operators on
whole numbers: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger. All become one kernel: windows of the image are
widened to rows of 16 bits, from which the zero point is gone, so that padding is 0; rows times weights in panels of 16
columns are summed in 32 bits, and each sum becomes a byte, a float, or stays. A matrix is an image of one row.

Source of the rounding: a sum times ``x_scale * w_scale / y_scale``, a float32, rounded to even, as in ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from turnkey.mlf import dtypes
from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Operand, Stored, attribute
from turnkey.mlf.kernels.quantized_depthwise import depthwise_kernel
from turnkey.mlf.kernels.quantized_group import Group, Quanta, group_of
from turnkey.mlf.kernels.quantum import Quantum, quantum
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.window import Window, window_of
from turnkey.mlf.program import Kernel, Tile
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR

if TYPE_CHECKING:
    import onnx

PANEL = 16
"""Columns of a panel, as in ``c/bytes.h``."""
ROWS = (6, 4, 2)
"""Rows of a tile to choose from; six, with two vectors of sums each, and their operands fill sixteen registers."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """What a product computes with.

    Attributes:
        source: name of the bytes; ``source_type`` their C type; zero: their zero point, or the tensor that holds it.
        weights: whole numbers without zero point, shape (columns, depth): depth by place of the window, then channel.
        bias: added to sums; None for none.
        scale: from a sum to the result, one per column; None where sums are the result.
        result: how the result is quantised; None for floats or sums. low, high: bounds of a rectifier.
        output, output_type: the result's tensor and C type.
    """

    source: str
    source_type: str
    zero: int | str
    weights: np.ndarray
    bias: np.ndarray | None
    scale: np.ndarray | None
    result: Quantum | None
    output: str
    output_type: str
    low: float | None = None
    high: float | None = None

    @property
    def is_wide(self) -> bool:
        """Whether weights need 16 bits: bytes around a zero point of their own may."""
        return bool((self.weights < -128).any() or (self.weights > 127).any())

    def c_target(self) -> str:
        """The initialiser of a ``turnkey_target``."""
        if self.result is not None:
            return f"{{{self.result.c_target(self.low, self.high)}}}"
        return "{TURNKEY_TO_SUMS, 0.0f, 0.0f, 0}" if self.scale is None else "{TURNKEY_TO_FLOATS, 0.0f, 0.0f, 0}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a product reads and writes: images, channel-last; of a matrix, its rows are the places."""

    images: int
    channels: int
    columns: int
    groups: int
    window: Window
    layout: str

    @property
    def results(self) -> int:
        """Places of one image of results."""
        return math.prod(self.window.result)


def quantized_product(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Conv, Gemm and MatMul of dequantised operands, and the operators of ONNX that compute on whole numbers."""
    if node.op_type == "DequantizeLinear":
        group = group_of(node, graph, ("Conv", "Gemm", "MatMul"))
        made = None if group is None else _of_group(group, graph)
        nodes = () if group is None else group.nodes
        operator = None if group is None else group.operator
    else:
        made, nodes, operator = _of_operator(node, graph), (node,), node
    if made is None or operator is None:
        return None
    places = _places(operator, made, graph)
    if places is None:
        return None
    reads = (made.source, *((made.zero,) if isinstance(made.zero, str) else ()))
    return Claim(nodes=nodes, reads=reads, make=lambda layouts: _made(operator, made, places, graph))


def _of_group(group: Group, graph: NodeGraph) -> Numbers | None:
    source, weight = group.inputs[0], group.inputs[1]
    if source is None or weight is None or weight.name not in graph.constants or source.quantum.axis is not None:
        return None
    operator = group.operator
    if operator.op_type == "Gemm" and (
        attribute(operator, "transA", 0)
        or attribute(operator, "alpha", 1.0) != 1
        or attribute(operator, "beta", 1.0) != 1
    ):
        return None
    matrix = _columns_first(operator, weight, graph)
    if matrix is None:
        return None
    weights, scales = matrix
    product = np.float32(source.quantum.single_scale) * scales.astype(np.float32)
    bias = None
    if len(operator.input) > 2 and operator.input[2]:
        bias = _bias(group, graph, product)
        if bias is None:
            return None
    return Numbers(
        source=source.name,
        source_type=source.quantum.c_type,
        zero=source.quantum.single_zero,
        weights=weights,
        bias=bias,
        scale=product / np.float32(group.result.single_scale) if group.result else product,
        result=group.result,
        output=group.output,
        output_type=group.result.c_type if group.result else "float",
        low=group.low,
        high=group.high,
    )


def _bias(group: Group, graph: NodeGraph, product: np.ndarray) -> np.ndarray | None:
    """The bias in quanta of the product; None where it is computed."""
    name, operand = group.operator.input[2], group.inputs[2]
    if operand is not None:
        stored = graph.constants.get(operand.name)
        if stored is None:
            return None
        numbers = operand.quantum.values(stored).reshape(-1) * operand.quantum.scale.astype(np.float64)
    elif name in graph.constants:
        numbers = graph.constants[name].reshape(-1).astype(np.float64)
    else:
        return None
    if numbers.size not in (1, product.size):
        return None
    quanta = np.rint(np.broadcast_to(numbers, product.shape) / product.astype(np.float64))
    return np.clip(quanta, -(1 << 30), 1 << 30).astype(np.int32)


def _of_operator(node: onnx.NodeProto, graph: NodeGraph) -> Numbers | None:
    """One of ONNX's own operators on whole numbers, with constant weights; None for anything else."""
    if node.op_type in ("QLinearConv", "QLinearMatMul"):
        names = [*node.input, ""]
        source, weight = _quanta(names[0:3], graph), _quanta(names[3:6], graph, axis=0 if _is_conv(node) else 1)
        result = quantum(names[6], names[7], graph.tensors[node.output[0]].dtype, graph)
        if source is None or weight is None or result is None or weight.name not in graph.constants:
            return None
        found = _columns_first(node, weight, graph)
        bias = graph.constants.get(names[8])
        if found is None or source.quantum.axis is not None or (names[8] and bias is None):
            return None
        weights, scales = found
        scale = np.float32(source.quantum.single_scale) * scales.astype(np.float32) / np.float32(result.single_scale)
        return Numbers(
            source=source.name,
            source_type=source.quantum.c_type,
            zero=source.quantum.single_zero,
            weights=weights,
            bias=bias,
            scale=scale,
            result=result,
            output=node.output[0],
            output_type=result.c_type,
        )
    if node.op_type not in ("ConvInteger", "MatMulInteger"):
        return None
    names = [*node.input, "", ""]
    stored, source_type = graph.constants.get(names[1]), graph.tensors[names[0]].dtype
    zeros = graph.constants.get(names[3]) if names[3] else np.zeros(1, np.int32)
    if stored is None or zeros is None or source_type not in ("uint8", "int8") or stored.dtype.itemsize != 1:
        return None
    if names[2] and graph.tensors[names[2]].bytes != 1:
        return None
    whole = Quantum(
        scale=np.ones(zeros.size, np.float32),
        zero=zeros.reshape(-1).astype(np.int32),
        dtype=stored.dtype.name,
        axis=None if zeros.size == 1 else (0 if _is_conv(node) else stored.ndim - 1),
    )
    found = _columns_first(node, Quanta(name=names[1], quantum=whole), graph)
    constant = graph.constants.get(names[2]) if names[2] else np.zeros(1, np.int32)
    if found is None:
        return None
    return Numbers(
        source=names[0],
        source_type=f"{source_type}_t",
        zero=names[2] if constant is None else int(constant.reshape(-1)[0]),
        weights=found[0],
        bias=None,
        scale=None,
        result=None,
        output=node.output[0],
        output_type="int32_t",
    )


def _is_conv(node: onnx.NodeProto) -> bool:
    return node.op_type in ("Conv", "QLinearConv", "ConvInteger")


def _quanta(names: list[str], graph: NodeGraph, *, axis: int | None = None) -> Quanta | None:
    made = quantum(names[1], names[2], graph.tensors[names[0]].dtype, graph, axis=axis)
    return None if made is None else Quanta(name=names[0], quantum=made)


def _columns_first(node: onnx.NodeProto, weight: Quanta, graph: NodeGraph) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights as (columns, depth), and a scale for each column; None where scales lie along the depth."""
    stored = graph.constants[weight.name]
    numbers, across = weight.quantum.values(stored), weight.quantum.axis
    if _is_conv(node):
        columns, along = np.moveaxis(numbers, 1, -1).reshape(numbers.shape[0], -1), 0
    elif numbers.ndim != 2:
        return None
    elif node.op_type == "Gemm" and attribute(node, "transB", 0):
        columns, along = numbers, 0
    else:
        columns, along = numbers.T, 1
    if across is not None and across != along:
        return None
    return columns, np.broadcast_to(weight.quantum.scale, (columns.shape[0],))


def _places(node: onnx.NodeProto, numbers: Numbers, graph: NodeGraph) -> Places | None:
    source, target = graph.tensors[numbers.source].shape, graph.tensors[numbers.output].shape
    columns = numbers.weights.shape[0]
    if not _is_conv(node):
        if len(source) < 2:
            return None
        whole = (1, math.prod(source[:-1]))
        one = (1, 1)
        window = Window(image=whole, result=whole, extent=one, stride=one, dilation=one, before=(0, 0), after=(0, 0))
        return Places(images=1, channels=source[-1], columns=columns, groups=1, window=window, layout=ROW_MAJOR)
    weight = graph.constants[node.input[3]] if node.op_type == "QLinearConv" else None
    extent = weight.shape[2:] if weight is not None else _kernel_extent(node, graph)
    found = window_of(node, image=source[2:], result=target[2:], extent=extent, padded=())
    if found is None:
        return None
    return Places(
        images=source[0],
        channels=source[1],
        columns=columns,
        groups=attribute(node, "group", 1),
        window=found,
        layout=CHANNEL_LAST,
    )


def _kernel_extent(node: onnx.NodeProto, graph: NodeGraph) -> tuple[int, ...]:
    return graph.tensors[node.input[1]].shape[2:]


_WINDOWS = """\
/* Windows of the places from first on, as rows of 16 bits without zero point; 0 outside of the image. */
static void @windows(const {byte} *image, idx_t first, idx_t count, int32_t zero, int16_t *row) {{
  for (idx_t place = first; place < first + count; ++place) {{
    const idx_t top = place / {result_width} * {stride_y} - {before_y};
    const idx_t left = place % {result_width} * {stride_x} - {before_x};
    int16_t *to = row;
    row += {row};
    for (idx_t i = 0; i < {extent_y}; ++i) {{
      const idx_t y = top + i * {dilation_y};
      if (y < 0 || y >= {height}) {{
        memset(to, 0, {run} * sizeof *to);
        to += {run};
        continue;
      }}
      if ({contiguous} && left >= 0 && left + {extent_x} <= {width}) {{
        turnkey_widen_{byte}(image + (y * {width} + left) * {channels}, {run}, zero, to);
        to += {run};
        continue;
      }}
      for (idx_t j = 0; j < {extent_x}; ++j, to += {depth}) {{
        const idx_t x = left + j * {dilation_x};
        if (x < 0 || x >= {width})
          memset(to, 0, {depth} * sizeof *to);
        else
          turnkey_widen_{byte}(image + (y * {width} + x) * {channels}, {depth}, zero, to);
      }}
    }}
  }}
}}"""
_ROWS = """\
/* Rows of a matrix as rows of 16 bits without zero point. */
static void @windows(const {byte} *image, idx_t first, idx_t count, int32_t zero, int16_t *row) {{
  for (idx_t i = 0; i < count; ++i)
    turnkey_widen_{byte}(image + (first + i) * {channels}, {channels}, zero, row + i * {row});
}}"""
_STATEMENT = """\
const int32_t zero = {zero};
const turnkey_target target = {target};
int16_t *rows = (int16_t *)(void *)scratch;
for (idx_t n = 0; n < {images}; ++n)
  for (idx_t g = 0; g < {groups}; ++g) {{
    const {byte} *image = in0 + n * {image_size} + g * {depth};
    char *to = (char *)out0 + (n * {results} * {columns} + g * {group_columns}) * {size};
    const {weight} *weights = {weights} + g * {group_weights};
{tiles}
  }}"""
_TILES = """\
    for (idx_t first = {start}; first < {end}; first += {rows}) {{
      @windows(image, first, {rows}, zero, rows);
      turnkey_byte_panels({rows}, {group_columns}, {pairs}, rows, {row}, weights, {wide}, {bias}, {scale}, &target,
                          to + first * {columns} * {size}, {columns}, {size});
    }}"""


def _made(node: onnx.NodeProto, numbers: Numbers, places: Places, graph: NodeGraph) -> Made:
    operands: list[Operand] = [Stored(name=numbers.source, layout=places.layout)]
    zero = str(numbers.zero)
    types = [numbers.source_type]
    if isinstance(numbers.zero, str):
        zero = f"in{len(operands)}[0]"
        operands.append(Stored(name=numbers.zero))
        types.append(numbers.source_type)
    base = node.input[3 if node.op_type.startswith("QLinear") else 1]
    groups, columns = places.groups, places.columns
    is_depthwise = groups == places.channels == columns and groups > 1 and not numbers.is_wide
    arrays = _depthwise_arrays(numbers) if is_depthwise else _panelled_arrays(numbers, groups)
    expressions = {}
    for role, array in arrays.items():
        if array is None:
            expressions[role] = "NULL"
            continue
        expressions[role] = f"in{len(operands)}"
        operands.append(Derived(name=f"{base}.{role}", array=array))
        types.append(f"{dtypes.of_name(array.dtype.name).c_type}")
    tile: Tile = ()
    tiles: tuple[Tile, ...] = ()
    if is_depthwise:
        text = depthwise_kernel(
            places.window,
            images=places.images,
            channels=places.channels,
            byte=numbers.source_type,
            zero=zero,
            target=numbers.c_target(),
            size=dtypes.of_name(graph.tensors[numbers.output].dtype).bytes,
            weights=expressions["weights"],
            bias=expressions["bias"],
            scale=expressions["scale"],
        )
        code, statement, scratch = text.code, text.statement, 0
    else:
        tiles = tuple((("rows", rows),) for rows in ROWS if rows <= places.results)
        tiles = tiles or ((("rows", 1),),)
        tile = graph.tile(node, tiles)
        code, statement, scratch = _product_text(numbers, places, expressions, zero, dict(tile)["rows"], graph)
    kernel = Kernel(
        operators=("int8", node.op_type.lower()),
        inputs=tuple(types),
        outputs=(numbers.output_type,),
        helpers=(vectors(graph.vector_bytes), c_text("bytes")),
        code=code,
        statement=statement,
        includes=("string.h",),
        scratch_bytes=scratch,
        kind="quantized_depthwise" if is_depthwise else "quantized_product",
        tile=tile,
        tiles=tiles if len(tiles) > 1 else (),
        macs=places.images * places.results * columns * numbers.weights.shape[1],
    )
    return Made(kernel=kernel, inputs=tuple(operands), outputs=(Stored(name=numbers.output, layout=places.layout),))


def _padded(array: np.ndarray | None, groups: int, width: int) -> np.ndarray | None:
    """One value per column, each group's columns up to whole panels."""
    if array is None:
        return None
    made = np.zeros((groups, width), array.dtype)
    made[:, : array.size // groups] = array.reshape(groups, -1)
    return made.reshape(-1)


def _panelled_arrays(numbers: Numbers, groups: int) -> dict[str, np.ndarray | None]:
    """Weights as [group][panel][pair][16][2]; bias and scale for whole panels."""
    columns, depth = numbers.weights.shape[0] // groups, numbers.weights.shape[1]
    panels, pairs = -(-columns // PANEL), -(-depth // 2)
    whole = np.zeros((groups, panels * PANEL, 2 * pairs), np.int16 if numbers.is_wide else np.int8)
    whole[:, :columns, :depth] = numbers.weights.reshape(groups, columns, depth)
    packed = whole.reshape(groups, panels, PANEL, pairs, 2).transpose(0, 1, 3, 2, 4)
    return {
        "weights": np.ascontiguousarray(packed),
        "bias": _padded(numbers.bias, groups, panels * PANEL),
        "scale": _padded(numbers.scale, groups, panels * PANEL),
    }


def _depthwise_arrays(numbers: Numbers) -> dict[str, np.ndarray | None]:
    """Weights as [place of the window][channel], in the lower half of 32 bits."""
    halves = numbers.weights.T & 0xFFFF
    return {
        "weights": np.ascontiguousarray(halves.astype(np.int32)),
        "bias": numbers.bias,
        "scale": None if numbers.scale is None else np.ascontiguousarray(numbers.scale),
    }


def _product_text(
    numbers: Numbers, places: Places, names: Mapping[str, str], zero: str, rows: int, graph: NodeGraph
) -> tuple[str, str, int]:
    """Code, statement and bytes of scratch."""
    window, depth = places.window, places.channels // places.groups
    deep = math.prod(window.extent) * depth
    pairs, columns = -(-deep // 2), places.columns // places.groups
    padded = -(-columns // PANEL) * PANEL
    tiles = _heights(places.results, rows)
    fields = {
        "byte": numbers.source_type,
        "images": places.images,
        "groups": places.groups,
        "image_size": math.prod(window.image) * places.channels,
        "height": window.image[0],
        "width": window.image[1],
        "result_width": window.result[1],
        "results": places.results,
        "extent_y": window.extent[0],
        "extent_x": window.extent[1],
        "stride_y": window.stride[0],
        "stride_x": window.stride[1],
        "dilation_y": window.dilation[0],
        "dilation_x": window.dilation[1],
        "before_y": window.before[0],
        "before_x": window.before[1],
        "contiguous": int(places.groups == 1 and window.dilation[1] == 1),
        "channels": places.channels,
        "depth": depth,
        "run": window.extent[1] * depth,
        "row": 2 * pairs,
        "pairs": pairs,
        "columns": places.columns,
        "group_columns": columns,
        "group_weights": padded * 2 * pairs,
        "size": dtypes.of_name(graph.tensors[numbers.output].dtype).bytes,
        "zero": zero,
        "target": numbers.c_target(),
        "weight": "int16_t" if numbers.is_wide else "int8_t",
        "weights": names["weights"],
        "wide": int(numbers.is_wide),
        "bias": _at_group(names["bias"], padded),
        "scale": _at_group(names["scale"], padded),
    }
    loops, start = [], 0
    for height, count in tiles:
        end = start + height * count
        loops.append(_TILES.format(start=start, end=end, rows=height, **fields))
        start = end
    code = (_ROWS if window.is_one_place and places.groups == 1 else _WINDOWS).format(**fields)
    scratch = 2 * 2 * pairs * max(height for height, _ in tiles)
    return code, _STATEMENT.format(tiles="\n".join(loops), **fields), scratch


def _at_group(name: str, padded: int) -> str:
    return name if name == "NULL" else f"{name} + g * {padded}"


def _heights(places: int, rows: int) -> list[tuple[int, int]]:
    """Heights of tiles that share the places evenly, at most two, with how many there are of each."""
    blocks = -(-places // rows)
    low, higher = divmod(places, blocks)
    return [pair for pair in ((low + 1, higher), (low, blocks - higher)) if pair[1]]
