"""LSTM and GRU layers through one tarball, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest
from several import Several, check, exported, kinds

pytest.importorskip("emx_onnx_cgen", reason="emx-onnx-cgen is not installed (extra mlf)")

_GATES = {"LSTM": 4, "GRU": 3}


def layer(
    several: Several,
    operator: str,
    *,
    steps: int,
    batch: int,
    inputs: int,
    hidden: int,
    direction: str = "forward",
    bias: bool = True,
    states: bool = False,
    results: int = 3,
    **attributes: int,
) -> None:
    """One layer, whose results are outputs."""
    directions, rows = (2 if direction == "bidirectional" else 1), _GATES[operator] * hidden
    names = [several.input(steps, batch, inputs), several.weight(directions, rows, inputs)]
    names += [several.weight(directions, rows, hidden), several.weight(directions, 2 * rows) if bias else "", ""]
    kept = 2 if operator == "LSTM" else 1
    names += [several.input(directions, batch, hidden) for _ in range(kept)] if states else []
    count = min(results, 1 + kept)
    first = several.add(
        operator, *names, outputs=count, hidden_size=hidden, direction=direction.encode(), **attributes
    )
    several.output(first, *(f"{first}_{index}" for index in range(1, count)))


def test_layers_in_every_direction_with_and_without_biases_and_states(tmp_path: Path) -> None:
    several = Several(scale=0.3)
    layer(several, "LSTM", steps=5, batch=1, inputs=7, hidden=16)
    layer(several, "LSTM", steps=3, batch=2, inputs=4, hidden=5, direction="reverse", bias=False, results=1)
    layer(several, "LSTM", steps=4, batch=3, inputs=4, hidden=9, direction="bidirectional", states=True)
    for late in (0, 1):
        layer(several, "GRU", steps=5, batch=1, inputs=7, hidden=16, linear_before_reset=late)
        layer(
            several,
            "GRU",
            steps=3,
            batch=2,
            inputs=4,
            hidden=5,
            direction="reverse",
            bias=False,
            linear_before_reset=late,
        )
        layer(
            several,
            "GRU",
            steps=2,
            batch=3,
            inputs=4,
            hidden=9,
            direction="bidirectional",
            states=True,
            linear_before_reset=late,
            results=1,
        )
    module = exported(several.model(), tmp_path / "several.tar")
    assert {*kinds(module)} == {"pack", "recurrent"}
    check(several, module, cflags=("-O1", "-march=native"))
