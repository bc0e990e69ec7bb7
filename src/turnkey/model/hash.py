"""Hashes that name a model and its weights; docs/decisions/model-hash.md defines them.

This module imports torch only where a live module is hashed: ONNX files are named without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from turnkey.model.canonical import SCRIPTED, ModelHash, WeightBytes, digest_of, weights_digest

if TYPE_CHECKING:
    import torch

    from turnkey.model.replay import Replay

__all__ = ["ModelHash", "replay_hash", "weights_hash"]


def replay_hash(replay: Replay) -> ModelHash:
    """Hash of a model from one replay.

    The basis is ``calls``; ``graph`` where the module as a whole is scripted; ``modules`` where the steps depend on
    the values of this one sample or are incomplete.
    """
    if replay.error or replay.data_reads:
        shapes = [output[1:] for output in replay.outputs]
        document = {"inputs": replay.inputs, "modules": replay.tree, "outputs": shapes}
        return ModelHash(digest_of(document), "modules")
    document = {
        "inputs": replay.inputs,
        "weights": replay.weights,
        "steps": replay.steps,
        "outputs": replay.outputs,
    }
    is_graph = [step[0] for step in replay.steps] == [SCRIPTED]
    return ModelHash(digest_of(document), "graph" if is_graph else "calls")


def weights_hash(module: torch.nn.Module) -> str:
    """8 hex digits over (path, shape, dtype, bytes) of parameters and buffers, sorted by path.

    A tensor that is reachable by several paths counts once, under the first.
    """
    return weights_digest(_weights(module))


def _weights(module: Any) -> Iterator[WeightBytes]:
    from turnkey.model.torch_bridge import array_of, is_materialized

    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    for path, tensor in sorted(tensors.items()):
        if is_materialized(tensor):
            array = array_of(tensor)
            chunk = array.reshape(-1).view("uint8").data if array.size else b""
            yield WeightBytes(path, tuple(array.shape), str(array.dtype), (chunk,))
        else:
            yield WeightBytes(path, (), "not materialized", ())
