"""Between torch and named arrays: the one place where tensors become numpy arrays and back.

Dtypes that numpy lacks (bfloat16, float8) are carried by ml_dtypes' numpy dtypes, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import torch

from turnkey.model.call import flatten_result
from turnkey.model.samples import Sample

_BEYOND_NUMPY = ("bfloat16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
_EXTRA = {getattr(torch, name): np.dtype(getattr(ml_dtypes, name)) for name in _BEYOND_NUMPY if hasattr(torch, name)}
_EXTRA_BACK = {dtype: name for name, dtype in _EXTRA.items()}
_BITS = {1: (torch.uint8, np.uint8), 2: (torch.int16, np.int16)}


def is_tensor(value: Any) -> bool:
    """Whether a value counts as a tensor of a call."""
    return isinstance(value, (torch.Tensor, np.ndarray))


def array_of(tensor: Any) -> np.ndarray:
    """A copy in host memory, detached, contiguous, same bits."""
    if isinstance(tensor, np.ndarray):
        return tensor.copy()
    tensor = tensor.detach().to("cpu")
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    tensor = tensor.resolve_conj().resolve_neg().contiguous()
    if tensor.dtype in _EXTRA:
        as_bits = _BITS[tensor.element_size()][0]
        return np.array(tensor.view(as_bits).numpy(), copy=True).view(_EXTRA[tensor.dtype])
    return np.array(tensor.numpy(), copy=True)


def tensor_of(array: np.ndarray, device: str = "cpu") -> torch.Tensor:
    """A tensor with its own memory and the same bits."""
    array = np.ascontiguousarray(array).reshape(array.shape)  # ascontiguousarray makes 0-d arrays 1-d
    if array.dtype in _EXTRA_BACK:
        bits = torch.from_numpy(array.view(_BITS[array.dtype.itemsize][1]).copy())
        return bits.view(_EXTRA_BACK[array.dtype]).to(device)
    return torch.from_numpy(array.copy()).to(device)


def tensors_of(sample: Mapping[str, np.ndarray], device: str = "cpu") -> dict[str, torch.Tensor]:
    return {name: tensor_of(array, device) for name, array in sample.items()}


def arrays_of_result(result: Any) -> Sample:
    """A model's result as named arrays, in order."""
    return {name: array_of(tensor) for name, tensor in flatten_result(result, is_tensor=is_tensor).items()}


@contextmanager
def evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode and without gradients; every submodule gets its own flag back."""
    with evaluation_flags(module), torch.no_grad():
        yield


@contextmanager
def evaluation_flags(module: torch.nn.Module) -> Iterator[None]:
    """The module in evaluation mode, for who holds it longer than a call and turns gradients off in each.

    Two that hold ``no_grad`` at once and let go in the order in which they came would leave the process without
    gradients.
    """
    flags = [(child, child.training) for child in module.modules()]
    try:
        module.eval()
    except (NotImplementedError, RecursionError):  # what torch.export returns refuses; a module that contains itself
        for child, _ in flags:
            child.training = False
    try:
        yield
    finally:
        for child, training in flags:
            child.training = training


def is_materialized(tensor: torch.Tensor) -> bool:
    """Whether a tensor has bytes to read: not a lazy parameter before its first call, not on the meta device."""
    return not isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin) and not tensor.is_meta
