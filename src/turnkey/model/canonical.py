"""Canonical text of a hash document, and the digests that are taken of it.

One definition for all sources (replayed modules, scripted graphs, ONNX files), so that a digest means the same
whatever it was taken of. The scheme number changes only with the definition of a document, never silently.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, NamedTuple

SCHEME = "turnkey-model-hash 1"
SCRIPTED = "scripted"
"""Name of the step that stands for a whole scripted module."""


class ModelHash(NamedTuple):
    """What names a model.

    Attributes:
        digest: 64 hex digits, of which users see the first 8.
        basis: what it was taken of: ``calls``, ``modules``, ``graph``.
    """

    digest: str
    basis: str


class WeightBytes(NamedTuple):
    """One parameter or buffer for `weights_digest`; ``chunks`` are its little-endian bytes in C order."""

    path: str
    shape: tuple[int, ...]
    dtype: str
    chunks: Iterable[bytes | memoryview]


def digest_of(document: Any) -> str:
    """64 hex digits over the scheme's name and canonical JSON: sorted keys, no spaces, ASCII.

    Args:
        document: nested lists, tuples and dicts of strings, numbers, booleans and None; floats that JSON lacks
            are written as text.
    """
    text = json.dumps(_finite(document), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(f"{SCHEME}\n{text}".encode("ascii")).hexdigest()


def weights_digest(weights: Iterable[WeightBytes]) -> str:
    """8 hex digits over path, shape, dtype and bytes of each weight; the caller gives them sorted by path."""
    digest = hashlib.sha256()
    for weight in weights:
        digest.update(json.dumps([weight.path, list(weight.shape), weight.dtype]).encode("ascii") + b"\n")
        for chunk in weight.chunks:
            digest.update(chunk)
    return digest.hexdigest()[:8]


def _finite(node: Any) -> Any:
    if isinstance(node, float) and not math.isfinite(node):
        return {"float": repr(node)}
    if isinstance(node, dict):
        return {str(key): _finite(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_finite(value) for value in node]
    return node
