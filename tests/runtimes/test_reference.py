"""The source of truth, for live modules and for ONNX files."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from source_models import CALL_OF_X, source_model

from turnkey.errors import ModelError
from turnkey.model.samples import SampleSet
from turnkey.runtimes.reference import Reference

TEXT = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) { y = Exp (x) }'
X = {"x": np.array([[0.0, 1.0, 2.0]], np.float32)}


def source(*, module=None, path=None, structure=None):
    samples = SampleSet(structure=structure, inputs=(X, X), outputs=({"y": np.zeros(1)}, None))
    return source_model(module, samples, path=path, class_name="g")


@pytest.fixture
def file(tmp_path):
    onnx.save(onnx.parser.parse_model(TEXT), tmp_path / "g.onnx")
    reference = Reference(source(path=tmp_path / "g.onnx"))
    yield reference
    reference.close()


def test_known_outputs_are_kept_and_missing_ones_are_computed(file):
    first, second = file.with_outputs(file.source.samples).outputs
    np.testing.assert_array_equal(first["y"], np.zeros(1))
    np.testing.assert_allclose(second["y"], np.exp(X["x"]), rtol=1e-6)


def test_a_file_that_the_reference_evaluator_confirms_leaves_no_doubt(file):
    assert file.doubt() == ""


def test_a_disagreement_of_two_implementations_is_a_doubt_that_is_said(file, monkeypatch):
    monkeypatch.setattr(file, "_of_file", lambda sample: {"y": np.exp(sample["x"]) + 1})
    assert "disagree about the source: output 'y' at [0, 0]" in file.doubt()


def test_a_source_that_fails_is_the_models_failure_with_its_own_words():
    class Broken(torch.nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("no items in this batch")

    with pytest.raises(ModelError, match="fails on a sample") as caught:
        Reference(source(module=Broken(), structure=CALL_OF_X)).outputs(X, CALL_OF_X)
    assert "no items in this batch" in caught.value.evidence


def test_a_source_that_is_gone_says_so():
    gone = Reference(source())
    assert not gone.can_run
    with pytest.raises(ModelError, match="not in memory"):
        gone.outputs(X, None)


def test_a_model_with_noise_disagrees_with_itself_and_one_without_does_not():
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return x + torch.rand_like(x)

    assert Reference(source(module=Noisy(), structure=CALL_OF_X)).disagrees_with_itself(X, CALL_OF_X)
    assert not Reference(source(module=torch.nn.Dropout(0.5), structure=CALL_OF_X)).disagrees_with_itself(X, CALL_OF_X)
