"""Hashes that name a model and its weights; see spec "Model hash".

This module imports torch only where a live module is hashed: ONNX files are named without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from turnkey.model.canonical import SCHEME, WeightBytes, digest_of, weights_digest
from turnkey.model.onnx_hash import onnx_hash, weights_hash_of_onnx

if TYPE_CHECKING:
    import torch

__all__ = ["SCHEME", "digest_of", "onnx_hash", "weights_hash", "weights_hash_of_onnx"]


def weights_hash(module: torch.nn.Module) -> str:
    """8 hex digits over (path, shape, dtype, bytes) of parameters and buffers, sorted by path.

    A tensor that is reachable by two paths counts under both, so that tying is seen.
    """
    return weights_digest(_weights(module))


def _weights(module: Any) -> Iterator[WeightBytes]:
    from turnkey.model.torch_bridge import array_of, is_materialized

    tensors = {
        **dict(module.named_parameters(remove_duplicate=False)),
        **dict(module.named_buffers(remove_duplicate=False)),
    }
    for path, tensor in sorted(tensors.items()):
        if is_materialized(tensor):
            array = array_of(tensor)
            chunk = array.reshape(-1).view("uint8").data if array.size else b""
            yield WeightBytes(path, tuple(array.shape), str(array.dtype), (chunk,))
        else:
            yield WeightBytes(path, (), "not materialized", ())
