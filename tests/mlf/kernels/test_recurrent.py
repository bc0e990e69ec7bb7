"""LSTM and GRU layers through one tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_networks import layer, layers
from several import Several, check, exported, kinds

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.recurrent import recurrent
from turnkey.mlf.prepare import prepare

pytestmark = pytest.mark.needs("emx_onnx_cgen")


def test_layers_in_every_direction_with_and_without_biases_and_states(tmp_path: Path) -> None:
    several = Several()
    layers(several)
    module = exported(several.model(), tmp_path / "several.tar")
    assert {*kinds(module)} == {"pack", "recurrent"}
    check(several, module, cflags=("-O1", "-march=native"))


def test_a_layer_with_a_limit_is_left_to_the_generator() -> None:
    several = Several()
    layer(several, "LSTM", steps=2, batch=1, inputs=3, hidden=4, clip=1.0)
    prepared = prepare(several.model(), optimize="none")
    assert recurrent(prepared.model.graph.node[0], NodeGraph(prepared)) is None
