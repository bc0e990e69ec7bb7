"""LSTM and GRU layers through one tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from kernel_networks import layer, layers
from several import Several, check, exported, kinds

pytest.importorskip("emx_onnx_cgen", reason="emx-onnx-cgen is not installed (extra mlf)")


def test_layers_in_every_direction_with_and_without_biases_and_states(tmp_path: Path) -> None:
    several = Several()
    layers(several)
    module = exported(several.model(), tmp_path / "several.tar")
    assert {*kinds(module)} == {"pack", "recurrent"}
    check(several, module, cflags=("-O1", "-march=native"))


def test_layers_with_a_limit_are_left_to_the_generator(tmp_path: Path) -> None:
    several = Several()
    layer(several, "LSTM", steps=2, batch=1, inputs=3, hidden=4, clip=1.0)
    assert kinds(exported(several.model(), tmp_path / "several.tar")) == ["generated"]
