"""Sweeps: every combination in one call, one file for all that it serves, and what cannot be varied."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lexer_models import ONLY_TORCH, SHORT, Tiny, TwoInTwoOut
from torch import nn

from turnkey import LexerContext
from turnkey.errors import ModelError, UsageError
from turnkey.lexer import Sweep, load
from turnkey.lexer.sweep import sweep_points


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sweep, Path]:
    torch.manual_seed(0)
    context = LexerContext(config={**SHORT, "batch_size": 7})
    sweep = context.sweep(Tiny(), torch.randn(2, 4), batch_sizes=[1, 5], threads=[1, 2])
    return sweep, context.flush("sweep", tmp_path_factory.mktemp("sweep"))


def test_every_combination_is_measured_with_both_engines(swept: tuple[Sweep, Path]) -> None:
    sweep, _ = swept

    assert [(row.batch_size, row.threads, row.engine, row.inputs) for row in sweep.rows] == [
        (size, threads, engine, f"x[{size},4]")
        for size in (1, 5)
        for threads in (1, 2)
        for engine in ("onnxruntime", "torch")
    ]
    assert all(row.throughput_per_sec == pytest.approx(row.batch_size * 1000 / row.mean_ms) for row in sweep.rows)
    assert [report.class_name for report in sweep] == ["Tiny"] * 4
    assert {row.validation for row in sweep.rows} == {"pass"}


def test_one_file_serves_all_points_and_the_artifact_has_every_row(swept: tuple[Sweep, Path]) -> None:
    sweep, path = swept

    assert len({report.export.path for report in sweep if report.export}) == 1
    artifact = load(path)
    names = [member.name for member in artifact.members]
    assert names == ["Tiny.onnx", "Tiny.csv", "Tiny.samples.json", "Tiny.samples.npz", "sweep.toml"]
    assert [row.to_dict() for row in artifact] == [row.to_dict() for row in sweep.rows]
    assert [each.verdict for each in artifact.verify()] == ["pass"]
    assert artifact.damaged() == ()


def test_a_sweep_can_be_had_in_every_form(swept: tuple[Sweep, Path], tmp_path: Path) -> None:
    sweep, _ = swept

    lines = list(csv.DictReader(io.StringIO(sweep.to_csv(tmp_path / "s.csv"))))
    assert (len(lines), lines[-1]["inputs"], lines[-1]["threads"]) == (8, "x[5,4]", "2")
    assert (tmp_path / "s.csv").read_text() == sweep.to_csv()
    assert len(json.loads(sweep.to_json())["points"]) == 4
    assert str(sweep).splitlines()[0].split()[:3] == ["inputs", "threads", "engine"]
    assert "| x[5,4] | 2 | Torch" in sweep.to_markdown()
    assert sweep.to_html().count("<tr>") == 9


def test_a_file_that_does_not_take_a_shape_is_not_used_for_it() -> None:
    """What is traced holds the number of features; only the batch is free."""

    class Flat(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x / x.shape[1]

    context = LexerContext(config=SHORT)
    sweep = context.sweep(Flat(), torch.ones(2, 4), shapes=[[2, 4], [2, 6]], batch_sizes=[2, 3], enable_pytorch=False)

    assert [row.inputs for row in sweep.rows] == ["x[2,4]", "x[3,4]", "x[2,6]", "x[3,6]"]
    assert {row.validation for row in sweep.rows} == {"pass"}
    files = [report.export.path.name for report in sweep if report.export]
    assert files == ["Flat.onnx", "Flat.onnx", "Flat-2.onnx", "Flat-2.onnx"]
    artifact = load(context.flush("shapes"))
    assert [each.verdict for each in artifact.verify()] == ["pass", "pass"]


def test_a_shape_that_the_model_cannot_take_is_told_before_anything_is_timed() -> None:
    context = LexerContext(config={**SHORT, **ONLY_TORCH})

    with pytest.raises(ModelError, match="cannot be called with this input"):
        context.sweep(Tiny(), torch.ones(2, 4), shapes=[[2, 4], [2, 5]])
    with pytest.raises(UsageError, match="no batch_size beside"):
        context.sweep(Tiny(), torch.ones(2, 4), batch_sizes=[1], batch_size=2)
    assert context.runs == ()
    context.close()
    with pytest.raises(UsageError, match="is closed"):
        context.sweep(Tiny(), torch.ones(2, 4), batch_sizes=[1])


def test_keyword_inputs_keep_their_places(capsys: pytest.CaptureFixture[str]) -> None:
    context = LexerContext(config={**SHORT, **ONLY_TORCH, "enable_stdout": True})
    x = {"second": torch.ones(2, 4), "first": torch.zeros(2, 4)}

    sweep = context.sweep(TwoInTwoOut(), x, batch_sizes=[3])

    assert sweep[0][0].inputs == "left[3,4] right[3,4]"
    assert "left[3,4] right[3,4]" in capsys.readouterr().out


@given(st.integers(1, 4), st.integers(1, 9))
def test_inputs_of_another_batch_size_hold_values_of_the_example(extent: int, size: int) -> None:
    example = {"ids": np.arange(extent * 3).reshape(extent, 3), "scale": np.ones((), np.float32)}

    [point] = sweep_points(example, batch_sizes=[size])

    assert point.inputs["ids"].shape == (size, 3)
    assert point.inputs["scale"] is not None
    assert point.inputs["scale"].shape == ()
    assert set(point.inputs["ids"].ravel()) <= set(example["ids"].ravel())
    if size <= extent:
        assert np.array_equal(point.inputs["ids"], example["ids"][:size])


@pytest.mark.parametrize(
    ("axes", "what"),
    [
        ({}, "none is given"),
        ({"batch_sizes": []}, "must be a list"),
        ({"batch_sizes": 4}, "must be a list"),
        ({"batch_sizes": [1, 0]}, "different whole numbers"),
        ({"threads": [2, 2]}, "different whole numbers"),
        ({"threads": [True]}, "different whole numbers"),
        ({"shapes": [[2, 4]]}, "must say of which input"),
        ({"shapes": [{"c": [2, 4]}]}, "no input 'c'"),
        ({"shapes": [{"a": [2, 4, 1]}]}, "a cannot take this shape"),
        ({"shapes": [{"a": [2, -1]}]}, "whole numbers of at least 1"),
        ({"shapes": [{"a": "24"}]}, "must be a list"),
    ],
)
def test_what_cannot_be_varied_is_refused(axes: dict[str, Any], what: str) -> None:
    example = {"a": np.ones((2, 4)), "b": np.ones(2)}

    with pytest.raises(UsageError, match=what):
        sweep_points(example, **axes)
    with pytest.raises(UsageError, match="no input has a batch axis"):
        sweep_points({"a": np.ones(())}, batch_sizes=[2])
