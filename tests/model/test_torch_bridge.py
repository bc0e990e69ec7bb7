"""Tensors as arrays and back."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from turnkey.model.torch_bridge import array_of, tensor_of

NAMES = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "uint16",
    "complex64",
    "bool",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_keeps_its_name_and_its_bits(name: str) -> None:
    tensor = torch.tensor([[0.5, -2.0, 0.0]]).abs().to(getattr(torch, name))
    array = array_of(tensor)
    assert array.dtype.name == name
    assert array.shape == (1, 3)
    back = tensor_of(array)
    assert back.dtype == tensor.dtype
    assert torch.equal(back.view(torch.uint8), tensor.view(torch.uint8))


def test_tensors_that_are_no_plain_memory_become_what_they_mean() -> None:
    plain = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    complicated = (
        plain.to_sparse(),
        torch.quantize_per_tensor(plain, 0.5, 0, torch.qint8),
        plain.expand(2, 2).requires_grad_(),
        torch.complex(plain, -plain).conj().imag,
    )
    for tensor in complicated:
        np.testing.assert_array_equal(array_of(tensor), plain.numpy())
