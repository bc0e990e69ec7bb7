"""A wrong kernel is named, with both values, when an output differs."""

from __future__ import annotations

import json
from pathlib import Path

import models
import numpy as np
import pytest
from changed_tarballs import SAMPLE, planted

import turnkey.mlf as mlf
from turnkey.mlf.archive import Archive
from turnkey.mlf.divergence import first_divergence
from turnkey.mlf.failures import MlfVerificationError
from turnkey.mlf.library import from_archive


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


def test_a_tarball_that_tells_nothing_of_its_tensors_is_debugged_all_the_same(cnn_tar: Path) -> None:
    files = dict(mlf.load(cnn_tar).archive.files)
    facts = json.loads(files["metadata.json"])
    del facts["modules"]["cnn"]["turnkey"]["tensors"]
    files["metadata.json"] = json.dumps(facts).encode()
    values = from_archive(Archive(cnn_tar, files)).module().debug(SAMPLE)
    np.testing.assert_array_equal(values["scores"], mlf.load(cnn_tar).module().run(SAMPLE)["scores"])


def test_the_error_of_a_mismatch_says_it(nodewise_tar: Path) -> None:
    module = planted(nodewise_tar, "acc += ", "acc += 0.5f + ")
    with pytest.raises(MlfVerificationError, match="mlf-mismatch") as caught:
        module.verify(models.model_of(models.CNN), samples=[SAMPLE])
    assert "first divergent node: Conv(a), 'a'[0, " in caught.value.evidence


def test_intermediate_values_carry_the_names_of_the_model(nodewise_tar: Path) -> None:
    values = mlf.load(nodewise_tar).module().debug(SAMPLE)
    assert {"image", "w", "a", "r", "p", "f", "s", "scores"} <= set(values)
    assert np.array_equal(values["r"], np.maximum(values["a"], 0))
