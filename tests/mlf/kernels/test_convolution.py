"""Convolutions, depthwise ones and poolings of any shape through a tarball, against ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from several import Several, check, exported, kinds

import turnkey.mlf as mlf
from turnkey.mlf.graph_executor import GraphExecutor
from turnkey.mlf.runner import ModuleRunner
from turnkey.mlf.sanitized import run_sanitized

pytestmark = pytest.mark.needs("emx_onnx_cgen")

_PLAIN_C99 = ("-O1", "-std=c99", "-pedantic-errors", "-DTURNKEY_MLF_SCALAR")


@st.composite
def _windows(draw: st.DrawFn) -> dict[str, Any]:
    """Batch, channels, image and attributes of one window, in one or two dimensions, that gives at least one place."""
    rank = draw(st.integers(1, 2))
    kernel = [draw(st.integers(1, 4)) for _ in range(rank)]
    dilations = [draw(st.integers(1, 2)) for _ in range(rank)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = [draw(st.integers(0, r - 1)) for r in (*reach, *reach)]
    image = [max(1, r - pads[i] - pads[rank + i]) + draw(st.integers(0, 12)) for i, r in enumerate(reach)]
    attributes = {"dilations": dilations, "pads": pads, "strides": [draw(st.integers(1, 3)) for _ in range(rank)]}
    return {
        "batch": draw(st.integers(1, 2)),
        "groups": draw(st.integers(1, 3)),
        "channels": draw(st.integers(1, 9)),
        "outputs": draw(st.integers(1, 35)),
        "image": image,
        "kernel": kernel,
        "attributes": attributes,
        "behind": draw(st.sampled_from(["", "Relu", "Add", "Add Relu", "Sigmoid"])),
    }


def _behind(several: Several, y: str, operators: str) -> str:
    for operator in operators.split():
        y = several.add(operator, y, y) if operator == "Add" else several.add(operator, y)
    return y


def _convolved(several: Several, w: Mapping[str, Any]) -> str:
    channels = w["groups"] * w["channels"]
    weight = several.small_weight(w["groups"] * w["outputs"], w["channels"], *w["kernel"])
    inputs = [several.input(w["batch"], channels, *w["image"]), weight]
    inputs += [several.small_weight(w["groups"] * w["outputs"])] if w["outputs"] % 2 else []
    y = several.add("Conv", *inputs, group=w["groups"], **w["attributes"])
    if not w["behind"].startswith("Add"):
        return _behind(several, y, w["behind"])
    # The other operand is a convolution of the same input and shape: it must not be overwritten too early.
    other = several.add("Conv", inputs[0], weight, group=w["groups"], **w["attributes"])
    return _behind(several, several.add("Add", y, other), w["behind"].removeprefix("Add"))


_QUICK = {"phases": [Phase.generate], "suppress_health_check": [HealthCheck.function_scoped_fixture]}
"""Without shrinking: each try is a call of the compiler."""


@settings(max_examples=2, deadline=None, **_QUICK)
@given(windows=st.lists(_windows(), min_size=5, max_size=5))
def test_windows_of_any_shape_give_what_onnx_runtime_gives(windows: list[dict[str, Any]], tmp_path: Path) -> None:
    several = Several()
    for w in windows:
        several.output(_convolved(several, w))
        channels = w["outputs"]
        x, weight = several.input(w["batch"], channels, *w["image"]), several.small_weight(channels, 1, *w["kernel"])
        several.output(_behind(several, several.add("Conv", x, weight, group=channels, **w["attributes"]), "Relu"))
        pooled = {**w["attributes"], "kernel_shape": w["kernel"]}
        pooled["pads"] = [min(p, k // 2) for p, k in zip(pooled["pads"], w["kernel"] * 2, strict=True)]
        if w["attributes"]["dilations"] == [1] * len(w["kernel"]):
            several.output(several.add("MaxPool", x, **pooled))
            several.output(several.add("AveragePool", x, count_include_pad=w["groups"] % 2, **pooled))
    module = exported(several.model(), tmp_path / "several.tar")
    assert {"convolution", "depthwise"} & {*kinds(module)}
    check(several, module, cflags=("-O1", "-march=native"))


@pytest.fixture(scope="module")
def chains(tmp_path_factory: pytest.TempPathFactory) -> tuple[Several, Path]:
    """Chains as networks have them: padded by a node of its own, with residuals, poolings, odd numbers of channels."""
    several = Several()
    pads = several.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64))
    x = several.add("Pad", several.input(1, 3, 9, 10), pads)
    x = several.add("Relu", several.add("Conv", x, several.small_weight(20, 3, 3, 3), several.small_weight(20)))
    side = x
    bounds = (several.constant(np.float32(0)), several.constant(np.float32(6)))
    x = several.add("Clip", several.add("Conv", x, several.small_weight(20, 1, 3, 3), group=20, pads=[1] * 4), *bounds)
    x = several.add("Add", several.add("Conv", x, several.small_weight(20, 20, 1, 1), several.small_weight(20)), side)
    x = several.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    x = several.add("HardSwish", several.add("Conv", x, several.small_weight(24, 20, 1, 1), strides=[2, 2]))
    several.output(x, several.add("Flatten", several.add("GlobalAveragePool", x)))
    y = several.add("Relu", several.add("Conv", several.input(2, 4, 30), several.small_weight(7, 4, 5), pads=[2, 2]))
    y = several.add("Conv", y, several.small_weight(14, 1, 3), several.small_weight(14), group=7, dilations=[2])
    several.output(several.add("AveragePool", y, kernel_shape=[2], strides=[2]), several.add("GlobalMaxPool", y))
    path = tmp_path_factory.mktemp("chains") / "several.tar"
    exported(several.model(), path)
    return several, path


def test_fused_chains_give_the_same_and_convert_at_their_ends_only(
    chains: tuple[Several, Path],
) -> None:
    several, path = chains
    module = mlf.load(path).module()
    assert sorted({*kinds(module)}) == [
        *("convolution", "copy", "depthwise", "global_pool", "layout", "pack", "pool"),
    ]
    called = [kernel for kernel in module.metadata.turnkey["kernels"] if kernel["kind"] == "layout"]
    nodes = [node for kernel in called for node in kernel["nodes"]]
    assert len(nodes) == 2, "the two results that are outputs of the graph, and nothing within the chains"
    check(several, module)


def test_plain_c99_gives_the_same(chains: tuple[Several, Path]) -> None:
    several, path = chains
    check(several, mlf.load(path).module(), cflags=_PLAIN_C99)


def test_sanitizers_find_no_read_or_write_outside(tmp_path: Path) -> None:
    several = Several()
    x = several.input(1, 5, 3, 5)
    y = several.add("Conv", x, several.small_weight(5, 5, 3, 3), several.small_weight(5), pads=[1] * 4)
    y = several.add("Relu", several.add("Add", y, x))
    y = several.add("Conv", y, several.small_weight(5, 1, 2, 2), group=5, pads=[1, 0, 0, 1])
    several.output(several.add("GlobalAveragePool", several.add("MaxPool", y, kernel_shape=[2, 2])))
    run_sanitized(exported(several.model(), tmp_path / "several.tar"), [several.sample])


def test_the_executors_graph_packs_raw_weights_and_gives_the_same_bytes(chains: tuple[Several, Path]) -> None:
    several, path = chains
    module = mlf.load(path).module()
    weights = {tensor.name: tensor for tensor in several.model().graph.initializer}
    parameters = module.parameters()
    assert all(tuple(weights[name].dims) == parameters[name].shape for name in parameters if name in weights)
    nodes = json.loads(module.library.archive.content("executor-config/graph/graph.json"))["nodes"]
    assert any(node["name"].startswith("tvmgen_several_pack_") for node in nodes)
    runner = ModuleRunner(module, module.build().build)
    whole, stepwise = runner.run(several.sample), GraphExecutor(module, runner).outputs(several.sample)
    assert all(whole[name].tobytes() == stepwise[name].tobytes() for name in whole)


def test_intermediate_values_are_seen_in_the_layout_of_onnx(chains: tuple[Several, Path]) -> None:
    several, path = chains
    module = mlf.load(path).module()
    channel_last = {
        n for n, fields in module.metadata.turnkey["tensors"].items() if fields["layout"] == "channel-last"
    }
    assert channel_last
    runner = ModuleRunner(module, module.build().build)
    seen = GraphExecutor(module, runner).run(several.sample)
    shapes = {
        v.name: tuple(d.dim_value for d in v.type.tensor_type.shape.dim) for v in several.model().graph.value_info
    }
    assert all(seen[name].shape == shapes[name] for name in channel_last & {*shapes})


def test_without_templates_every_node_comes_from_the_generator(chains: tuple[Several, Path], tmp_path: Path) -> None:
    several, _ = chains
    module = exported(several.model(), tmp_path / "several.tar", kernels="generated")
    assert {*kinds(module)} <= {"generated", "copy"}
