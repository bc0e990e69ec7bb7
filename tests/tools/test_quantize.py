"""The tool quantize: what pays stays, what is wrong is named, and the build goes on with the form before."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from model_builds import export, source, state_of
from source_models import samples_of_x

from turnkey.errors import ConversionError, UsageError
from turnkey.tools.quantization import base_format
from turnkey.tools.quantize import Quantize, parse_scheme


class Mlp(torch.nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc1 = torch.nn.Linear(32, 64)
        self.fc2 = torch.nn.Linear(64, 8)

    def forward(self, x):
        return self.fc2(torch.relu(self.fc1(x)))


def build(tmp_path, count=12):
    generator = np.random.default_rng(0)
    values = [generator.standard_normal((16, 32)).astype(np.float32) for _ in range(count)]
    return export(state_of(tmp_path, source(Mlp().eval(), samples_of_x(*values))))


def entry(state, scheme):
    return next(each for each in state.statistics["quantization"] if each["scheme"] == scheme)


def test_loss_metric_and_layers_are_told_and_without_a_measurement_nothing_is_chosen(tmp_path):
    metric = tmp_path / "metric.py"
    metric.write_text("def shift(a, b):\n    return -float(abs(a[0]['output'] - b[0]['output']).max())\n")
    state = Quantize().run(build(tmp_path), metric=f"{metric}:shift", per_layer=True, skip_benchmark=True)
    static = entry(state, "onnx-int8-static")
    assert 0 < static["losses"][0]["relative_l2"] < 0.1
    assert static["metric"] < 0 == static.get("base_metric", 0)
    assert static["layers"]
    assert not static["pays"]
    assert state.results == "onnx"
    assert "its speed was not measured" in state.listing
    assert "calibrated on 6 captured inputs, judged on 6 others" in state.listing
    assert {each["key"] for each in state.verification} >= {"onnx", "onnx-int8-dynamic", "onnx-int8-static"}


def test_a_form_calibrated_on_garbage_is_refused_and_named(tmp_path):
    state = build(tmp_path)
    np.savez(tmp_path / "garbage.npz", x=np.random.default_rng(1).standard_normal((8, 16, 32)) * 1e-3)
    state = Quantize().run(
        state, to=["onnx-int8-static"], calibration=str(tmp_path / "garbage.npz"), skip_benchmark=True
    )
    assert "invalid" in entry(state, "onnx-int8-static")["refusal"]
    assert "onnx-int8-static: refused: invalid" in state.listing
    assert any(each["key"] == "onnx-int8-static" and each["verdict"] == "invalid" for each in state.verification)
    assert state.results == "onnx"


def test_a_metric_that_falls_too_far_refuses(tmp_path):
    metric = tmp_path / "metric.py"
    metric.write_text("def same(a, b):\n    return all((x['output'] == y['output']).all() for x, y in zip(a, b))\n")
    arguments = {"to": ["onnx-int8-dynamic"], "metric": f"{metric}:same", "max_drop": 0.5, "skip_benchmark": True}
    state = Quantize().run(build(tmp_path), **arguments)
    assert "same falls from 1 to 0, allowed: 0.5" in entry(state, "onnx-int8-dynamic")["refusal"]


@pytest.mark.slow
def test_every_scheme_gets_a_verdict_against_the_form_it_was_made_from(tmp_path):
    state = Quantize().run(build(tmp_path), to=["onnx-int8-dynamic"], effort="quick", threads=1)
    line = next(each for each in state.listing.splitlines() if each.startswith("onnx-int8-dynamic: "))
    assert "pays: FASTER" in line or "not quantised: " in line
    assert {each["variant"] for each in state.measurements} == {"onnx", "onnx-int8-dynamic"}
    paid = entry(state, "onnx-int8-dynamic")["pays"]
    assert state.results == ("onnx-int8-dynamic" if paid else "onnx")
    assert state.chosen in (("onnx-int8-dynamic @ onnxruntime",) if paid else ("onnx @ onnxruntime", None))


def test_a_limit_for_the_drop_of_a_metric_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UsageError, match="how far a metric may fall"):
        Quantize().run(build(tmp_path), max_drop=0.1, skip_benchmark=True)


def test_where_nothing_can_be_quantised_every_scheme_says_why(tmp_path):
    with pytest.raises(ConversionError, match="nothing could be quantised") as caught:
        Quantize().run(build(tmp_path), to=["onnx-int8-static", "onnx-int8-dynamic"], operators=["Conv"])
    assert caught.value.evidence.count("onnx-int8") >= 2


def test_a_scheme_that_cannot_be_told_a_wish_is_refused_instead_of_made_without_it(tmp_path):
    with pytest.raises(ConversionError, match="nothing could be quantised") as caught:
        Quantize().run(build(tmp_path), to=["onnx-int4"], operators=["MatMul"])
    assert caught.value.evidence == "onnx-int4: it cannot be told --operators"


def test_a_scheme_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="onnx-int8-static"):
        parse_scheme("int8")


@pytest.mark.parametrize(
    ("scheme", "base"),
    [("onnx-int4", "onnx"), ("openvino-int8", "openvino"), ("torch-aoti-int8-static", "torch-aoti")],
)
def test_a_scheme_is_compared_with_the_same_form_in_full_precision(scheme, base):
    assert parse_scheme(scheme) == scheme
    assert base_format(scheme) == base


def test_forms_that_are_no_onnx_files_need_the_live_model_again(tmp_path):
    state = replace(build(tmp_path), verification=({"key": "onnx", "verdict": "valid"},))
    assert not Quantize.needs_live_model(state, to=["onnx-int8-static", "openvino-int8"])
    assert Quantize.needs_live_model(state, to=["onnx-int8-static", "torch-aoti-int8-static"])


@pytest.mark.nightly
@pytest.mark.timeout(1500)
@pytest.mark.needs("torchao", "executorch")
def test_programs_of_torch_are_calibrated_judged_and_compared_with_their_own_kind(tmp_path):
    schemes = ["torch-aoti-int8-static", "executorch-int8"]
    state = Quantize().run(build(tmp_path), to=schemes, effort="quick", threads=1)
    for scheme in schemes:
        found = entry(state, scheme)
        assert found["base"] == scheme.partition("-int8")[0]
        assert 0 < found["losses"][0]["relative_l2"] < 0.2
        assert found["verdict"] or found["refusal"]
    assert {each["key"] for each in state.verification} >= {"torch-aoti", "executorch", *schemes}
