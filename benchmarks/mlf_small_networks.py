"""Nine small networks of the kinds that run on small machines, built from nothing but the onnx package.

Weights are seeded and batch normalisations folded, as any exporter leaves them. Shapes follow MLPerf Tiny and the
papers: depthwise-separable keyword spotting (Zhang et al. 2017), MobileNet V1 and V2 (Howard et al. 2017, Sandler et
al. 2018), ResNet (He et al. 2015), the anomaly detector of MLPerf Tiny, and recurrent keyword spotters.
"""

from __future__ import annotations

import numpy as np
import onnx
from mlf_fixed_networks import Drawing, mobilenet, resnet8, transformer

_RECURRENT_STEPS, _RECURRENT_FEATURES, _RECURRENT_STATE = 49, 40, 64


def ds_cnn() -> onnx.ModelProto:
    """Keyword spotting on 49 frames of 10 coefficients, twelve words."""
    net = Drawing("ds_cnn", (1, 1, 49, 10))
    weight, bias = net.weight(64, 1, 10, 4), net.weight(64)
    x = net.add("Relu", net.add("Conv", "input", weight, bias, pads=[4, 1, 5, 1], strides=[2, 2]))
    for _ in range(4):
        x = net.conv(x, (64, 64, 3), group=64)
        x = net.conv(x, (64, 64, 1))
    return net.model(net.classes(x, 64, 12), (1, 12))


def mobilenet_v2() -> onnx.ModelProto:
    """Width 0.35 on 96 x 96: channels rounded to multiples of eight that lose at most a tenth."""
    net = Drawing("mobilenet_v2", (1, 3, 96, 96))
    low, high = net.constant(np.float32(0)), net.constant(np.float32(6))

    def block(x: str, channels: int, outputs: int, *, stride: int, expansion: int) -> str:
        wide = channels * expansion
        y = x
        if expansion > 1:
            y = net.add("Clip", net.conv(y, (channels, wide, 1), relu=False), low, high)
        y = net.add("Clip", net.conv(y, (wide, wide, 3), stride=stride, group=wide, relu=False), low, high)
        y = net.conv(y, (wide, outputs, 1), relu=False)
        return net.add("Add", x, y) if stride == 1 and channels == outputs else y

    x = net.add("Clip", net.conv("input", (3, 16, 3), stride=2, relu=False), low, high)
    x, channels = block(x, 16, 8, stride=1, expansion=1), 8
    for outputs, repeats, stride in ((8, 2, 2), (16, 3, 2), (24, 4, 2), (32, 3, 1), (56, 3, 2), (112, 1, 1)):
        for index in range(repeats):
            x = block(x, channels, outputs, stride=stride if index == 0 else 1, expansion=6)
            channels = outputs
    x = net.add("Clip", net.conv(x, (channels, 1280, 1), relu=False), low, high)
    return net.model(net.classes(x, 1280), (1, 10))


def resnet18() -> onnx.ModelProto:
    """On 64 x 64, ten classes, 11 million parameters. No softmax: it would show the largest score only."""
    net = Drawing("resnet18", (1, 3, 64, 64))
    x = net.conv("input", (3, 64, 7), stride=2)
    x, channels = net.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]), 64
    for outputs in (64, 128, 256, 512):
        for _ in range(2):
            stride = 1 if outputs == channels else 2
            y = net.conv(net.conv(x, (channels, outputs, 3), stride=stride), (outputs, outputs, 3), relu=False)
            side = x if stride == 1 else net.conv(x, (channels, outputs, 1), stride=stride, relu=False)
            x, channels = net.add("Relu", net.add("Add", y, side)), outputs
    flat = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.add("Gemm", flat, net.weight(512, 10), net.weight(10)), (1, 10))


def autoencoder() -> onnx.ModelProto:
    """640 values through eight values and back."""
    net = Drawing("autoencoder", (1, 640))
    x, width = "input", 640
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        x = net.add("Gemm", x, net.weight(width, outputs), net.weight(outputs))
        x, width = (x if outputs == 640 else net.add("Relu", x)), outputs
    return net.model(x, (1, 640))


def _recurrent(operator: str, gates: int, **attributes: int) -> onnx.ModelProto:
    """One layer over a second of speech; its last state gives the scores."""
    state = _RECURRENT_STATE
    net = Drawing(operator.lower(), (_RECURRENT_STEPS, 1, _RECURRENT_FEATURES))
    scale = np.float32(_RECURRENT_FEATURES**-0.5)
    weights = [net.uniform(1, gates * state, extent, scale=scale) for extent in (_RECURRENT_FEATURES, state)]
    bias = net.uniform(1, 2 * gates * state, scale=scale)
    states = net.add(operator, "input", *weights, bias, hidden_size=state, **attributes)
    last = net.add("Gather", net.add("Squeeze", states, net.constant([1])), net.constant(-1), axis=0)
    scores = net.add("Gemm", last, net.weight(state, 12), net.weight(12))
    return net.model(net.add("Softmax", scores, axis=1), (1, 12))


def lstm() -> onnx.ModelProto:
    return _recurrent("LSTM", 4)


def gru() -> onnx.ModelProto:
    """Biases as PyTorch has them: inside of the reset gate."""
    return _recurrent("GRU", 3, linear_before_reset=1)


SMALL_NETWORKS = {
    "ds-cnn": ds_cnn,
    "mobilenet-v1": mobilenet,
    "mobilenet-v2": mobilenet_v2,
    "resnet8": resnet8,
    "resnet18": resnet18,
    "autoencoder": autoencoder,
    "transformer": transformer,
    "lstm": lstm,
    "gru": gru,
}
