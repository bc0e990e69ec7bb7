"""Writes the ONNX files beside this script, byte for byte the same each time.

python examples/cli/onnx/make_samples.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

HERE = Path(__file__).parent

# Weights are drawn below: the text names them, so that the graph can be read.
SAMPLE = """
<ir_version: 9, opset_import: ["" : 20]>
sample (float[batch, 3, 128, 128] image) => (float[batch, 10] scores) {
    edges = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (image, edge_weight)
    active_edges = Relu (edges)
    parts = Conv <kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]> (active_edges, part_weight)
    active_parts = Relu (parts)
    pooled = GlobalAveragePool (active_parts)
    features = Flatten (pooled)
    scores = Gemm (features, score_weight, score_bias)
}
"""
TOKENS = """
<ir_version: 9, opset_import: ["" : 20]>
tokens (int64[batch, length] input_ids, bool[batch, length] mask) => (float[batch, length, 8] embedded) {
    rows = Gather (table, input_ids)
    zero = Constant <value = float {0.0}> ()
    axis = Constant <value = int64[1] {2}> ()
    mask3 = Unsqueeze (mask, axis)
    embedded = Where (mask3, rows, zero)
}
"""
SHAPES = {
    "sample": {
        "edge_weight": (16, 3, 3, 3),
        "part_weight": (32, 16, 3, 3),
        "score_weight": (32, 10),
        "score_bias": (10,),
    },
    "tokens": {"table": (100, 8)},
}
LABELS = {"sample": "domain::vision task::Computer_Vision", "tokens": "domain::selftest task::embedding"}


def make(text: str) -> onnx.ModelProto:
    """The model of that text with seeded weights and our labels."""
    model = onnx.parser.parse_model(text)
    name = model.graph.name
    generator = np.random.default_rng(0)
    for weight, shape in SHAPES[name].items():
        values = generator.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(shape[0]))
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, weight))
    onnx.helper.set_model_props(model, {"turnkey_labels": LABELS[name]})
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    for text in (SAMPLE, TOKENS):
        model = make(text)
        onnx.save(model, HERE / f"{model.graph.name}.onnx")
    external = make(SAMPLE)
    # A file keeps its weights beside it: both must travel together.
    (HERE / "sample_external.onnx.data").unlink(missing_ok=True)  # onnx appends to a file that exists
    onnx.save(
        external,
        HERE / "sample_external.onnx",
        save_as_external_data=True,
        location="sample_external.onnx.data",
        size_threshold=128,
    )


if __name__ == "__main__":
    main()
