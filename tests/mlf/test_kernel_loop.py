"""One kernel alone: built from its tarball, called from C on memory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import turnkey.mlf as mlf
from turnkey.errors import TurnkeyError
from turnkey.mlf.kernel_loop import KernelLoop, load_kernel


def test_every_kernel_that_the_graph_calls_runs_alone(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    assert module.graph is not None
    for name in {node.function for node in module.graph.nodes if node.function not in (None, "__nop")}:
        loop = KernelLoop(module, str(name), repeats=3)
        loop.load()
        assert loop.run(loop.prepare({})) == 0
        assert loop.outputs(0) == {}


def test_a_kernel_that_refuses_is_told_outside_of_the_timed_call(cnn_tar: Path) -> None:
    loop = KernelLoop(mlf.load(cnn_tar).module(), "any", repeats=1)
    with pytest.raises(TurnkeyError, match="the kernel any returned an error"):
        loop.outputs(-1)


def test_a_kernel_that_the_graph_does_not_call_is_named(cnn_tar: Path) -> None:
    loop = load_kernel(threads=1, tarball=str(cnn_tar), module="cnn", function="tvmgen_cnn_fused_nothing", repeats=1)
    with pytest.raises(TurnkeyError, match="does not call this kernel") as caught:
        loop.load()
    assert "tvmgen_cnn_fused_nothing" in str(caught.value)
