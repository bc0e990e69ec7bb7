"""Thirty small nodes and the C text that each becomes: what an update of the generator must not change unseen.

    python tests/mlf/golden_nodes.py     # writes tests/mlf/golden/ anew; read the difference, then run the node tests

The texts are those of the kernels, as lowering hands them on: helpers, tables, statements and how they are called.
What every unit of C carries around them is left out.
"""

from __future__ import annotations

from pathlib import Path

import onnx.parser

from turnkey.mlf.lowering import lower
from turnkey.mlf.prepare import prepare

DIRECTORY = Path(__file__).parent / "golden"
_F = "float[2,3,4]"
_IMAGE = "float[1,4,6,6]"
NODES = {
    "argmax": (f"{_F} x", "int64[2,1,4] y", "ArgMax<axis=1>(x)"),
    "average_pool": (f"{_IMAGE} x", "float[1,4,3,3] y", "AveragePool<kernel_shape=[2,2], strides=[2,2]>(x)"),
    "batch_normalization": (
        f"{_IMAGE} x, float[4] s, float[4] b, float[4] m, float[4] v",
        f"{_IMAGE} y",
        "BatchNormalization(x, s, b, m, v)",
    ),
    "broadcast_add": (f"{_F} x, float[3,1] z", f"{_F} y", "Add(x, z)"),
    "cast": (f"{_F} x", "int32[2,3,4] y", "Cast<to=6>(x)"),
    "concat": (f"{_F} x, float[2,2,4] z", "float[2,5,4] y", "Concat<axis=1>(x, z)"),
    "conv": (
        f"{_IMAGE} x, float[3,4,3,3] w, float[3] b",
        "float[1,3,3,3] y",
        "Conv<pads=[1,1,1,1], strides=[2,2]>(x, w, b)",
    ),
    "conv_depthwise": (f"{_IMAGE} x, float[4,1,3,3] w", "float[1,4,4,4] y", "Conv<group=4>(x, w)"),
    "conv_transpose": (f"{_IMAGE} x, float[4,2,2,2] w", "float[1,2,12,12] y", "ConvTranspose<strides=[2,2]>(x, w)"),
    "convolution_1d": ("float[1,2,9] x, float[3,2,3] w", "float[1,3,5] y", "Conv<dilations=[2]>(x, w)"),
    "dequantize_linear": ("uint8[2,6] x, float s, uint8 z", "float[2,6] y", "DequantizeLinear(x, s, z)"),
    "erf": (f"{_F} x", f"{_F} y", "Erf(x)"),
    "expand": ("float[3,1] x", f"{_F} y", "Expand(x, shape)"),
    "gather": ("float[5,4] x, int64[2,3] i", "float[2,3,4] y", "Gather(x, i)"),
    "gemm": ("float[3,5] x, float[4,5] w, float[4] b", "float[3,4] y", "Gemm<transB=1, alpha=0.5>(x, w, b)"),
    "global_average_pool": (f"{_IMAGE} x", "float[1,4,1,1] y", "GlobalAveragePool(x)"),
    "layer_normalization": (f"{_F} x, float[4] s, float[4] b", f"{_F} y", "LayerNormalization(x, s, b)"),
    "lstm": (
        "float[3,1,2] x, float[1,16,2] w, float[1,16,4] r",
        "float[3,1,1,4] y",
        "LSTM<hidden_size=4>(x, w, r)",
    ),
    "matmul": ("float[2,3,4] x, float[4,5] w", "float[2,3,5] y", "MatMul(x, w)"),
    "max_pool": (f"{_IMAGE} x", f"{_IMAGE} y", "MaxPool<kernel_shape=[3,3], pads=[1,1,1,1]>(x)"),
    "pad": (f"{_F} x", "float[2,3,7] y", "Pad(x, pads)"),
    "quantize_linear": ("float[2,6] x, float s, uint8 z", "uint8[2,6] y", "QuantizeLinear(x, s, z)"),
    "reduce_mean": (f"{_F} x", "float[2,1,4] y", "ReduceMean<axes=[1]>(x)"),
    "relu": (f"{_F} x", f"{_F} y", "Relu(x)"),
    "resize": (f"{_IMAGE} x", "float[1,4,12,12] y", 'Resize<mode="linear">(x, , scales)'),
    "sigmoid": (f"{_F} x", f"{_F} y", "Sigmoid(x)"),
    "slice": (f"{_F} x", "float[2,3,2] y", "Slice(x, starts, ends, axes)"),
    "softmax": (f"{_F} x", f"{_F} y", "Softmax<axis=-1>(x)"),
    "top_k": (f"{_F} x", "float[2,3,2] y, int64[2,3,2] i", "TopK(x, k)"),
    "transpose": (f"{_F} x", "float[4,2,3] y", "Transpose<perm=[2,0,1]>(x)"),
}
"""Inputs, outputs and operator by name."""
CONSTANTS = {
    "expand": "int64[3] shape = {2, 3, 4}",
    "pad": "int64[6] pads = {0, 0, 1, 0, 0, 2}",
    "resize": "float[4] scales = {1.0, 1.0, 2.0, 2.0}",
    "slice": "int64[1] starts = {1}, int64[1] ends = {3}, int64[1] axes = {2}",
    "top_k": "int64[1] k = {2}",
}
"""What decides about the code and is no input."""


def text_of(name: str) -> str:
    """The kernels of a node, as C text."""
    inputs, outputs, operator = NODES[name]
    results = ", ".join(value.split()[-1] for value in outputs.split(", "))
    constants = f"<{CONSTANTS[name]}>" if name in CONSTANTS else ""
    model = onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> {name} ({inputs}) => ({outputs}) {constants}'
        f"{{ {results} = {operator} }}"
    )
    program = lower(prepare(model, optimize="none"))
    parts = []
    for step in program.steps:
        kernel = step.kernel
        call = f"{', '.join(kernel.inputs)} -> {', '.join(kernel.outputs)}; scratch {kernel.scratch_bytes}"
        parts += [f"/* {' '.join(step.inputs)} -> {' '.join(step.outputs)}: {call} */", *kernel.helpers]
        parts += [part for part in (kernel.code, kernel.statement) if part]
    return "\n".join(line.rstrip() for line in "\n".join(parts).splitlines()) + "\n"


def main() -> None:
    DIRECTORY.mkdir(exist_ok=True)
    for stale in DIRECTORY.glob("*.c"):
        stale.unlink()
    for name in NODES:
        (DIRECTORY / f"{name}.c").write_text(text_of(name), encoding="utf-8")
    print(f"{len(NODES)} texts below {DIRECTORY}")


if __name__ == "__main__":
    main()
