"""What a variant loses, in numbers for a reader."""

from __future__ import annotations

import math

import numpy as np
import pytest

from turnkey.verify.loss import output_losses


def test_equal_outputs_lose_nothing_and_integers_are_left_out():
    sample = {"y": np.array([[1.0, 2.0]], np.float32), "k": np.array([3])}
    [loss] = output_losses([sample, sample], [sample, sample])
    assert (loss.name, loss.relative_l2, loss.noise_db, loss.top1) == ("y", 0.0, None, 1.0)
    assert loss.cosine == pytest.approx(1.0)
    assert "exact" in loss.sentence


def test_one_per_cent_is_forty_decibels_and_a_changed_winner_is_counted():
    wanted = {"y": np.array([[10.0, 0.0], [0.0, 10.0]])}
    given = {"y": wanted["y"] * 1.01}
    assert output_losses([wanted], [given])[0].noise_db == pytest.approx(40.0)
    other = {"y": np.array([[10.0, 0.0], [10.0, 0.0]])}
    assert output_losses([wanted], [other])[0].top1 == 0.5


@pytest.mark.parametrize("bad", [{}, {"y": np.zeros((3, 2))}, {"y": np.array([[np.nan, 1.0]])}])
def test_a_missing_misshapen_or_broken_output_loses_everything(bad):
    [loss] = output_losses([{"y": np.array([[1.0, 2.0]])}], [bad])
    assert math.isinf(loss.relative_l2)
    assert "exact" not in loss.sentence


def test_a_mask_of_infinities_on_both_sides_is_no_loss_and_on_one_side_is_all_of_it():
    masked, other = {"y": np.array([[1.0, -np.inf]])}, {"y": np.array([[1.0, -9.0]])}
    assert output_losses([masked], [masked])[0].relative_l2 == 0.0
    assert math.isinf(output_losses([masked], [other])[0].relative_l2)


def test_scalars_have_no_winner():
    assert output_losses([{"y": np.float32(2)}], [{"y": np.float32(1)}])[0].top1 is None
