"""A user's repository with two commits: an ONNX file of a chain of layers that becomes longer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from git_command import git
from onnx import TensorProto, helper, numpy_helper


def chain(layers: int) -> bytes:
    generator = np.random.Generator(np.random.PCG64(0))
    nodes, weights, name = [], [], "x"
    for index in range(layers):
        weight = (generator.standard_normal((64, 64)) / 8).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"w{index}"))
        nodes.append(helper.make_node("MatMul", [name, f"w{index}"], [f"m{index}"]))
        nodes.append(helper.make_node("Tanh", [f"m{index}"], [f"t{index}"]))
        name = f"t{index}"
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [16, 64])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [16, 64])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Commit ``old`` has two layers, ``main`` three; the working tree is that of ``main``."""
    place = tmp_path / "project"
    (place / "models").mkdir(parents=True)
    git(place, "init", "--quiet", "--initial-branch", "main")
    for layers, tag in ((2, "old"), (3, "new")):
        (place / "models" / "net.onnx").write_bytes(chain(layers))
        git(place, "add", "models")
        git(place, "commit", "--quiet", "-m", f"{layers} layers")
        git(place, "tag", tag)
    return place
