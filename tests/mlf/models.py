"""Models written as text, with seeded weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnx.parser

CNN = """
<ir_version: 8, opset_import: ["" : 17]>
cnn (float[1,2,8,8] image) => (float[1,3] scores)
<float[4,2,3,3] w, float[4] b, float[4,3] v>
{
  a = Conv<pads=[1,1,1,1]>(image, w, b)
  r = Relu(a)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  s = MatMul(f, v)
  scores = Softmax<axis=1>(s)
}
"""

BRANCHES = """
<ir_version: 8, opset_import: ["" : 17]>
branches (float[1,4,4] x, float[1,4,4] y) => (float[1,8,4] joined, float[1,4,4] sum)
{
  a = Tanh(x)
  b = Sigmoid(y)
  c = Add(a, b)
  joined = Concat<axis=1>(a, c)
  sum = Mul(c, c)
}
"""

MULTIPLY = """
<ir_version: 8, opset_import: ["" : 17]>
multiply (float[2,3] x) => (float[2,4] y)
<float[3,4] w>
{
  y = MatMul(x, w)
}
"""

NARROW = """
<ir_version: 8, opset_import: ["" : 17]>
narrow (float16[8] x, float[8] z) => (float16[8] root, int8[8] codes)
<float s = {0.03}, int8 p = {3}>
{
  root = Sqrt(x)
  t = Tanh(z)
  codes = QuantizeLinear(t, s, p)
}
"""


QUANTISED = """
<ir_version: 8, opset_import: ["" : 17]>
quantised (float[2,8] x) => (float[2,8] y)
<float s = {0.03}, uint8 z = {128}>
{
  q = QuantizeLinear(x, s, z)
  d = DequantizeLinear(q, s, z)
  t = Tanh(d)
  c = QuantizeLinear(t, s, z)
  y = DequantizeLinear(c, s, z)
}
"""


def model_of(text: str, *, seed: int = 0) -> onnx.ModelProto:
    """A model from ONNX text; what it declares as values beside inputs and outputs becomes a random weight."""
    model = onnx.parser.parse_model(text)
    generator = np.random.default_rng(seed)
    given = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.value_info:
        if value.name in given:
            continue
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        values = np.asarray(generator.standard_normal(shape), dtype=np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, value.name))
    return model


def outputs_of(model: onnx.ModelProto, sample: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What ONNX Runtime computes."""
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [value.name for value in model.graph.output]
    return dict(zip(names, session.run(None, sample), strict=True))
