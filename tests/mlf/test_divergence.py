"""A wrong kernel is named, with both values, when an output differs."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import pytest
from test_verification import SAMPLE, planted

import turnkey.mlf as mlf
from turnkey.mlf.divergence import first_divergence
from turnkey.mlf.failures import MlfVerificationError


def test_a_sound_module_has_no_divergent_node(cnn_tar: Path) -> None:
    module = mlf.load(cnn_tar).module()
    assert first_divergence(module.build(), SAMPLE) is None


def test_the_first_wrong_node_is_named_and_not_those_that_follow(nodewise_tar: Path) -> None:
    module = planted(nodewise_tar, "acc += ", "acc += 0.5f + ")
    found = first_divergence(module.build(), SAMPLE)
    assert found is not None
    assert found.node == "Conv(a)"
    assert found.tensor == "a"
    assert found.actual != pytest.approx(found.expected)


def test_the_error_of_a_mismatch_says_it(nodewise_tar: Path) -> None:
    module = planted(nodewise_tar, "acc += ", "acc += 0.5f + ")
    with pytest.raises(MlfVerificationError, match="mlf-mismatch") as caught:
        module.verify(models.model_of(models.CNN), samples=[SAMPLE])
    assert "first divergent node: Conv(a), 'a'[0, " in caught.value.evidence


def test_intermediate_values_carry_the_names_of_the_model(nodewise_tar: Path) -> None:
    values = mlf.load(nodewise_tar).module().debug(SAMPLE)
    assert {"image", "w", "a", "r", "p", "f", "s", "scores"} <= set(values)
    assert np.array_equal(values["r"], np.maximum(values["a"], 0))
