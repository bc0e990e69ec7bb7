"""Many small graphs as one model, so that one call of the compiler tries them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

import turnkey.mlf as mlf


class Several:
    """Graphs side by side: each adds inputs, weights, nodes and outputs of its own."""

    def __init__(self, *, seed: int = 0, opset: int = 20) -> None:
        self._generator = np.random.default_rng(seed)
        self._opset = opset
        self._nodes: list[onnx.NodeProto] = []
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[str] = []
        self._weights: list[onnx.TensorProto] = []
        self.sample: dict[str, np.ndarray] = {}

    def input(self, *shape: int) -> str:
        name = f"x{len(self._inputs)}"
        self._inputs.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
        self.sample[name] = self._generator.standard_normal(shape).astype(np.float32)
        return name

    def weight(self, *shape: int) -> str:
        return self.constant(self._generator.standard_normal(shape).astype(np.float32))

    def small_weight(self, *shape: int) -> str:
        """For layers that feed their results back."""
        return self.constant(0.3 * self._generator.standard_normal(shape).astype(np.float32))

    def constant(self, values: object) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def add(self, operator: str, *inputs: str, outputs: int = 1, **attributes: object) -> str:
        """One node; returns its (first) output."""
        names = [f"t{len(self._nodes)}" + (f"_{index}" if index else "") for index in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, names, **attributes))
        return names[0]

    def output(self, *names: str) -> None:
        self._outputs += names

    def model(self) -> onnx.ModelProto:
        outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in self._outputs]
        graph = helper.make_graph(self._nodes, "several", self._inputs, outputs, self._weights)
        opsets = [helper.make_opsetid("", self._opset)]
        return onnx.shape_inference.infer_shapes(helper.make_model(graph, opset_imports=opsets, ir_version=10))


def exported(model: onnx.ModelProto, path: Path, **options: object) -> mlf.Module:
    """The model as a module of a tarball; nothing is compiled yet."""
    mlf.export(model, path, name="several", compile=False, verify=False, **{"optimize": "none", **options})
    return mlf.load(path).module()


def kinds(module: mlf.Module) -> list[str]:
    """The template of each kernel."""
    return [kernel["kind"] for kernel in module.metadata.turnkey["kernels"]]


def check(
    several: Several, module: mlf.Module, *, cflags: Sequence[str] | None = None, sanitize: bool = False
) -> None:
    """The compiled module gives what ONNX Runtime gives, within a few roundings of the largest value."""
    session = ort.InferenceSession(several.model().SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = dict(zip(several._outputs, session.run(None, several.sample), strict=True))
    found = module.build(cflags=cflags, sanitize=sanitize).run(several.sample)
    for name, value in wanted.items():
        scale = float(np.abs(value[np.isfinite(value)]).max(initial=0.0))
        np.testing.assert_allclose(found[name], value, rtol=2e-5, atol=3e-6 * max(1.0, scale), err_msg=name)
