"""The stack: the worst case from the compiler's graph of calls, and what a run really touches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

import turnkey.mlf as mlf
from turnkey.mlf.painted_stack import painted_stack
from turnkey.mlf.stack import LIBRARY_CALLS_BYTES, CallGraph, read_call_graph, worst_case_stack

UNIT = r"""graph: { title: "unit.c"
node: { title: "tvmgen_m_run" label: "tvmgen_m_run\nunit.c:1:9\n48 bytes (static)\n0 dynamic objects" }
node: { title: "unit.c:helper" label: "helper\nunit.c:9:13\n160 bytes (dynamic,bounded)\n0 dynamic objects" }
node: { title: "tvmgen_m_fused_a_body" label: "tvmgen_m_fused_a_body\nunit.c:5:9\n32 bytes (static)\n0 dynamic" }
edge: { sourcename: "tvmgen_m_run" targetname: "tvmgen_m_fused_a_body" label: "unit.c:2:3" }
edge: { sourcename: "tvmgen_m_run" targetname: "tvmgen_m_fused_a_body" label: "unit.c:3:3" }
edge: { sourcename: "tvmgen_m_fused_a_body" targetname: "unit.c:helper" label: "unit.c:6:3" }
node: { title: "expf" label: "expf\n<built-in>" shape : ellipse }
edge: { sourcename: "tvmgen_m_fused_a_body" targetname: "expf" label: "unit.c:6:9" }
}
"""


def test_the_worst_case_is_the_deepest_path_of_calls() -> None:
    graph = read_call_graph([UNIT])
    assert graph.depth_bytes("unit.c:helper") == 160
    assert graph.depth_bytes("tvmgen_m_fused_a_body") == 32 + max(160, LIBRARY_CALLS_BYTES)
    assert worst_case_stack(graph, "m") == 48 + 32 + max(160, LIBRARY_CALLS_BYTES)


def test_the_last_function_of_a_path_may_use_the_red_zone() -> None:
    graph = read_call_graph([UNIT], red_zone_bytes=128)
    assert graph.depth_bytes("unit.c:helper") == 160 + 128
    assert graph.depth_bytes("tvmgen_m_fused_a_body") == 32 + max(160 + 128, LIBRARY_CALLS_BYTES)


def test_recursion_and_unknown_functions_have_no_depth() -> None:
    graph = CallGraph(frames={"a": 8, "b": 8}, calls={"a": ["b"], "b": ["a"]})
    assert graph.depth_bytes("a") is None
    assert graph.depth_bytes("nobody") is None
    assert worst_case_stack(CallGraph(), "m") is None


def test_a_compiler_that_tells_frames_only_gets_an_estimate_from_above() -> None:
    frames = {"tvmgen_m_run": 16, "tvmgen_m___tvm_main__": 32, "tvmgen_m_fused_a_body": 64, "helper": 128}
    assert worst_case_stack(CallGraph(frames=frames), "m") == 16 + 32 + 64 + 128 + LIBRARY_CALLS_BYTES


def test_what_a_run_touches_lies_within_the_worst_case(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    stack = module.metadata.turnkey["stack"]
    assert 0 < stack["painted_bytes"] <= stack["static_bytes"]
    runner = module.build()
    painted = painted_stack(runner, {"image": np.ones((1, 2, 8, 8), np.float32)})
    assert painted is not None
    assert 0 < painted <= stack["static_bytes"]


def test_every_kernel_states_its_stack_and_its_products(cnn_tar: Path) -> None:
    kernels = {entry["function_name"]: entry for entry in mlf.load(cnn_tar).module().metadata.turnkey["kernels"]}
    assert all(entry["stack_bytes"] > 0 for entry in kernels.values() if entry["kind"] != "copy")
    convolution = next(entry for name, entry in kernels.items() if "conv" in name)
    assert convolution["macs"] == (1 * 4 * 8 * 8) * (2 * 3 * 3)
