"""Five small networks that never change, built from nothing but the onnx package: what `mlf_figures.py` exports.

Weights are seeded, so that each network is the same file on every host. Shapes follow MLPerf Tiny where it has one.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Drawing:
    """A network on its way: nodes and weights so far, each tensor with a fresh name."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self._name = name
        self._input = helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        self._generator = np.random.Generator(np.random.PCG64(0))

    def weight(self, *shape: int) -> str:
        """Seeded values that keep the variance from layer to layer."""
        fan_in = int(np.prod(shape[1:])) if len(shape) > 2 else shape[0]
        values = (
            self._generator.standard_normal(shape) * np.sqrt(2 / fan_in) if len(shape) > 1 else np.full(shape, 0.1)
        )
        return self.constant(values.astype(np.float32))

    def uniform(self, *shape: int, scale: float) -> str:
        """Seeded values from -scale to scale, as recurrent layers begin with."""
        return self.constant(self._generator.uniform(-scale, scale, shape).astype(np.float32))

    def constant(self, values: Any) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """One node; returns its output."""
        name = f"t{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [name], name=f"n{len(self._nodes)}", **attributes))
        return name

    def conv(self, x: str, shape: tuple[int, int, int], *, stride: int = 1, group: int = 1, relu: bool = True) -> str:
        """Convolution that keeps the image's size (over ``stride``); shape: inputs, outputs, extent of the kernel."""
        channels, outputs, extent = shape
        weight, bias = self.weight(outputs, channels // group, extent, extent), self.weight(outputs)
        y = self.add("Conv", x, weight, bias, pads=[extent // 2] * 4, strides=[stride, stride], group=group)
        return self.add("Relu", y) if relu else y

    def classes(self, x: str, channels: int, scores: int = 10) -> str:
        """The end of a classifier: mean over the image, so many scores."""
        flat = self.add("Flatten", self.add("GlobalAveragePool", x))
        return self.add("Softmax", self.add("Gemm", flat, self.weight(channels, scores), self.weight(scores)), axis=1)

    def model(self, output: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._nodes, self._name, [self._input], [result], self._weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def small_cnn() -> onnx.ModelProto:
    net = Drawing("smallcnn", (1, 3, 32, 32))
    x = net.conv("input", (3, 16, 3))
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
    x = net.conv(x, (16, 32, 3))
    return net.model(net.classes(x, 32), (1, 10))


def resnet8() -> onnx.ModelProto:
    net = Drawing("resnet8", (1, 3, 32, 32))
    x, channels = net.conv("input", (3, 16, 3)), 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        y = net.conv(x, (channels, outputs, 3), stride=stride)
        y = net.conv(y, (outputs, outputs, 3), relu=False)
        side = x if stride == 1 else net.conv(x, (channels, outputs, 1), stride=stride, relu=False)
        x, channels = net.add("Relu", net.add("Add", y, side)), outputs
    return net.model(net.classes(x, 64), (1, 10))


def mobilenet() -> onnx.ModelProto:
    net = Drawing("mobilenet", (1, 3, 96, 96))
    x, channels = net.conv("input", (3, 8, 3), stride=2), 8
    blocks = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1))
    for outputs, stride in blocks:
        x = net.conv(x, (channels, channels, 3), stride=stride, group=channels)
        x, channels = net.conv(x, (channels, outputs, 1)), outputs
    return net.model(net.classes(x, 256), (1, 10))


def transformer() -> onnx.ModelProto:
    length, width, heads = 32, 64, 4
    net = Drawing("transformer", (1, length, width))
    apart, together = net.constant([1, length, heads, width // heads]), net.constant([1, length, width])
    x = "input"

    def norm(value: str) -> str:
        return net.add("LayerNormalization", value, net.weight(width), net.weight(width), axis=-1)

    def headed(value: str, perm: list[int]) -> str:
        product = net.add("MatMul", value, net.weight(width, width))
        return net.add("Transpose", net.add("Reshape", product, apart), perm=perm)

    for _ in range(2):
        y = norm(x)
        query, key, value = (headed(y, perm) for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]))
        scores = net.add("Mul", net.add("MatMul", query, key), net.constant(np.float32((width // heads) ** -0.5)))
        mixed = net.add("MatMul", net.add("Softmax", scores, axis=-1), value)
        mixed = net.add("Reshape", net.add("Transpose", mixed, perm=[0, 2, 1, 3]), together)
        x = net.add("Add", x, net.add("MatMul", mixed, net.weight(width, width)))
        wide = net.add("MatMul", norm(x), net.weight(width, 2 * width))
        bent = net.add("Erf", net.add("Mul", wide, net.constant(np.float32(0.5**0.5))))
        bent = net.add("Mul", net.add("Mul", wide, net.constant(np.float32(0.5))), net.add("Add", bent, _one(net)))
        x = net.add("Add", x, net.add("MatMul", bent, net.weight(2 * width, width)))
    return net.model(x, (1, length, width))


def _one(net: Drawing) -> str:
    return net.constant(np.float32(1))


def unet() -> onnx.ModelProto:
    net = Drawing("unet", (1, 3, 32, 32))
    first = net.conv("input", (3, 8, 3))
    second = net.conv(net.add("MaxPool", first, kernel_shape=[2, 2], strides=[2, 2]), (8, 16, 3))
    x = net.conv(net.add("MaxPool", second, kernel_shape=[2, 2], strides=[2, 2]), (16, 32, 3))
    twice = net.constant(np.array([1, 1, 2, 2], np.float32))
    for side, channels, outputs in ((second, 48, 16), (first, 24, 8)):
        x = net.add("Resize", x, "", twice, mode="nearest", nearest_mode="floor")
        x = net.conv(net.add("Concat", x, side, axis=1), (channels, outputs, 3))
    return net.model(net.conv(x, (8, 2, 1), relu=False), (1, 2, 32, 32))


NETWORKS = {
    "smallcnn": small_cnn,
    "resnet8": resnet8,
    "mobilenet": mobilenet,
    "transformer": transformer,
    "unet": unet,
}
