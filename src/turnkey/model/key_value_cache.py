"""Key-value caches of transformers as named tensors: recognised by name, so that nothing is imported to look.

A ``DynamicCache`` of plain layers is what a decoder takes and gives by default. As an argument it becomes two tensors
per layer (``past_key_values.0.key``) and is built anew for every call, since models append to the one they are given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

_MODULE = "transformers.cache_utils"


class CacheLayer(NamedTuple):
    """Key and value of one layer, each of shape (batch, heads, length, head size); or what stands for them."""

    key: Any
    value: Any


def layers_of_argument(value: Any) -> tuple[CacheLayer, ...] | None:
    """The layers of a cache that can be rebuilt from them, or None for everything else.

    A cache whose layers hold nothing yet has none.
    """
    if not _is_cache(value, "DynamicCache"):
        return None
    if any(type(layer).__name__ != "DynamicLayer" for layer in value.layers):
        return None  # windows and offloading would be lost
    filled = [layer for layer in value.layers if layer.keys is not None]
    if filled and len(filled) != len(value.layers):
        return None
    return tuple(CacheLayer(layer.keys, layer.values) for layer in filled)


def named_layers(value: Any) -> dict[str, Any] | None:
    """The tensors of a returned cache by name (``0.key``; ``self.0.key`` where there are two), or None."""
    if _is_cache(value, "EncoderDecoderCache"):
        parts = {"self": value.self_attention_cache, "cross": value.cross_attention_cache}
        return {f"{part}.{name}": tensor for part, cache in parts.items() for name, tensor in _named(cache).items()}
    if _is_cache(value, "DynamicCache"):
        return _named(value)
    return None


def rebuild(layers: Sequence[CacheLayer]) -> Any:
    """A new ``DynamicCache`` of these tensors."""
    from transformers.cache_utils import DynamicCache

    return DynamicCache([(layer.key, layer.value) for layer in layers]) if layers else DynamicCache()


def _named(cache: Any) -> dict[str, Any]:
    return {
        f"{index}.{part}": tensor
        for index, layer in enumerate(getattr(cache, "layers", ()))
        for part, tensor in (("key", getattr(layer, "keys", None)), ("value", getattr(layer, "values", None)))
        if tensor is not None
    }


def _is_cache(value: Any, name: str) -> bool:
    kind = type(value)
    return kind.__name__ == name and kind.__module__ == _MODULE
