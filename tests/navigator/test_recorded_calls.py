"""Ways in which a module is called, told apart."""

from __future__ import annotations

import torch

from turnkey.navigator.recorded_calls import structure_key


def test_calls_of_one_structure_share_a_key_and_others_do_not() -> None:
    x = torch.ones(2, 4)
    assert structure_key((x,), {}) == structure_key((torch.zeros(5, 4),), {})
    assert structure_key((x,), {}) != structure_key((x,), {"scale": x})
    assert structure_key((x,), {}) != structure_key((x.double(),), {})
