"""Variants that are wrong on purpose: verification catches each, names it, and it is never recommended."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_builds import samples_of, source, state_of

from turnkey.errors import VerificationError
from turnkey.tools import Convert, Verify


def verified(state):
    """Verdict by variant, whether or not one is wrong; and the error if one is."""
    error = None
    try:
        state = Verify().run(state)
    except VerificationError as wrong:
        error, state = wrong, wrong.state
    worst = {}
    for entry in state.verification:
        if worst.get(entry["key"]) != "invalid":
            worst[entry["key"]] = entry["verdict"]
    return worst, error, state


class SignMatters(torch.nn.Module):
    """A Python branch on values."""

    def forward(self, x):
        if x.sum() > 0:
            return x * 2
        return x * 3


class SizeMatters(torch.nn.Module):
    """A Python branch on an extent that no trace sees: beyond the sizes at which the export was tried."""

    def forward(self, x):
        return x + 1 if x.shape[0] != 3 else x - 1


def test_a_trace_that_froze_a_branch_is_caught_at_a_sample_that_takes_the_other(tmp_path):
    samples = samples_of((2, 4), (2, 4))
    positive = {"x": np.abs(samples.inputs[0]["x"])}
    negative = {"x": -np.abs(samples.inputs[1]["x"])}
    samples = replace(samples, inputs=(positive, negative))
    state = state_of(tmp_path, source(SignMatters(), samples, data_dependent=True))
    state = Convert().run(state, to=["torchscript"])
    assert any("froze values" in note for note in state.variant("torchscript-trace").notes)
    key = "torchscript-trace @ torchscript"
    state = replace(state, chosen=key, measurements=({"key": key, "variant": "torchscript-trace"},))
    verdicts, error, state = verified(state)
    assert state.chosen is None
    assert verdicts == {"torchscript-trace": "invalid", "torchscript-script": "valid"}
    assert "torchscript-trace does not compute what the source model computes" in error.what
    assert "torchscript-script" not in error.what


def test_a_branch_on_the_batch_size_is_caught_at_another_batch_size(tmp_path):
    state = state_of(tmp_path, source(SizeMatters(), samples_of((1, 4))))
    state = Convert().run(state, to=["torchscript"])
    verdicts, error, _ = verified(state)
    assert verdicts == {"torchscript-trace": "invalid", "torchscript-script": "valid"}
    assert "batch size 3" in error.evidence


class Lying(torch.nn.Module):
    """Uses an operator whose shape function lies, so that whoever believes it divides by the wrong number."""

    def forward(self, x):
        doubled = torch.ops.turnkey_test.doubled(x)
        return doubled / doubled.shape[1]


@pytest.fixture
def lying_operator():
    with torch.library._scoped_library("turnkey_test", "FRAGMENT") as library:
        library.define("doubled(Tensor x) -> Tensor")
        library.impl("doubled", lambda x: x * 2, "CPU")
        torch.library.register_fake("turnkey_test::doubled", lambda x: x.new_empty((x.shape[0], 1)), lib=library)
        yield


def test_a_custom_operator_that_lies_about_its_shape_is_caught(tmp_path, lying_operator):
    state = state_of(tmp_path, source(Lying(), samples_of((2, 4))))
    state = Convert().run(state, to=["torchscript-trace", "torch-exportedprogram"])
    verdicts, error, _ = verified(state)
    assert verdicts == {"torchscript-trace": "valid", "torch-exportedprogram": "invalid"}
    assert "torch-exportedprogram does not compute" in error.what


class Large(torch.nn.Module):
    """Exact in float32; its sums leave float16."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(64, 4, bias=False)
        torch.nn.init.constant_(self.linear.weight, 100.0)

    def forward(self, x):
        return self.linear(x.abs() * 50)


@pytest.mark.slow
def test_an_overflow_in_float16_is_caught_while_it_is_measured_and_not_recommended(tmp_path):
    from turnkey.tools import Benchmark

    state = state_of(tmp_path, source(Large(), samples_of((2, 64))))
    found = Benchmark().run(state, runtimes=["torch", "torch-fp16"], iterations=3, effort="quick", threads=1)
    entries = {entry["key"]: entry for entry in found.measurements}
    assert found.chosen in ("torch", None)
    assert "infinite" in str(entries["torch-fp16"])
    assert entries["torch-fp16"]["verification"] != "valid"


def test_an_overflow_in_float16_is_caught_in_a_file(tmp_path):
    samples = samples_of((2, 64))
    state = state_of(tmp_path, source(Large(), samples))
    state = Convert().run(state, to=["onnx-fp16"])
    verdicts, error, _ = verified(state)
    assert verdicts["onnx"] == "valid"
    assert verdicts["onnx-fp16"] == "invalid"
    assert "infinite" in error.what
