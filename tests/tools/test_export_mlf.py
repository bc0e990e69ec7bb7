"""The tool export-mlf on a model that a script called with a batch: which extents the free dimensions get."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from model_builds import export, samples_of, source, state_of

import turnkey.mlf as mlf
from turnkey.errors import ConversionError, VerificationError
from turnkey.tools.export_mlf import ExportMlf
from turnkey.tools.verify import Verify

pytestmark = pytest.mark.needs("emx_onnx_cgen")


@pytest.fixture
def called_with_four(tmp_path):
    """A build whose file leaves the batch free, from calls with 4 and once with 2."""
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.ReLU()).eval()
    model = source(module, samples_of((4, 3)), further_samples=(samples_of((2, 3)),))
    return replace(export(state_of(tmp_path, model)), expected_input_shapes={"x": (4, 3)})


def batch_of(state):
    return mlf.load(state.build_dir / state.variant().path).module().inputs[0].shape[0]


def reasons(state):
    return {entry["key"]: entry["reason"] for entry in state.verification}


def test_a_free_batch_is_closed_as_captured_and_said(called_with_four):
    state = ExportMlf().run(called_with_four)
    assert batch_of(state) == 4
    assert state.listing.startswith("batch is 4, as captured; --dim NAME=N makes it another\n")
    state = Verify().run(state)
    assert state.statistics["verify_status"] == "valid", reasons(state)


def test_a_sample_of_another_batch_than_was_asked_for_is_no_wrong_computation(called_with_four):
    state = ExportMlf().run(called_with_four, dim=("batch=1",))
    assert batch_of(state) == 1
    assert "as captured" not in state.listing
    state = Verify().run(state)
    assert state.statistics["verify_status"] == "unverified"
    assert reasons(state)["onnx-mlf"] == (
        "not compared: it was compiled for batch 1, the captured input has 4; do: export-mlf --dim batch=4"
    )


def test_without_a_captured_call_the_error_names_an_extent(called_with_four):
    with pytest.raises(ConversionError, match="mlf-dynamic-shape") as caught:
        ExportMlf().run(replace(called_with_four, expected_input_shapes={"x": ("batch", 3)}))
    assert caught.value.remedy == "export-mlf --dim batch=1"


def test_code_for_the_captured_batch_that_computes_something_else_still_fails(called_with_four):
    state = ExportMlf().run(called_with_four)
    with torch.no_grad():
        state.model.module[0].weight.neg_()
    with pytest.raises(VerificationError, match="does not compute"):
        Verify().run(state)
