"""A model call as named arrays: nested arguments flattened to a sample, and back.

``flatten_call(args, kwargs, names)`` gives the tensors of a call under dotted names and a `CallStructure` that
knows where each of them, and every constant, belongs; `CallStructure.bind` rebuilds the arguments from a sample.
This module knows nothing of torch: what counts as a tensor is told by the caller.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.model.key_value_cache import CacheLayer, layers_of_argument, named_layers, rebuild

Path = tuple[str | int, ...]

_CONSTANTS = (type(None), bool, int, float, str)


@dataclass(frozen=True, slots=True)
class Leaf:
    """Place of a tensor: its name in the sample."""

    name: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """An argument that is neither tensor nor plain data; kept by reference, cannot leave this process."""

    value: Any


@dataclass(frozen=True, slots=True)
class KeyValueCache:
    """Place of a key-value cache: a `Leaf` for the key and the value of each layer."""

    layers: tuple[CacheLayer, ...]


@dataclass(frozen=True, slots=True)
class CallStructure:
    """How a sample becomes ``(args, kwargs)``.

    Attributes:
        args: nested tuples, lists and dicts whose leaves are `Leaf`, `KeyValueCache`, `Opaque` or
            constants.
        kwargs: the same for keyword arguments.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def is_portable(self) -> bool:
        """Whether it can be written to a file: no opaque object inside."""
        return not any(isinstance(leaf, Opaque) for leaf in _nodes((self.args, dict(self.kwargs))))

    @property
    def holds_cache(self) -> bool:
        """Whether the call takes a key-value cache, which the model changes: `bind` anew for every call."""
        return any(isinstance(node, KeyValueCache) for node in _nodes((self.args, dict(self.kwargs))))

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors in the order of the call."""
        leaves = _nodes((self.args, dict(self.kwargs)))
        return tuple(leaf.name for leaf in leaves if isinstance(leaf, Leaf))

    def bind(self, tensors: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of the call, with each tensor taken from ``tensors`` by name.

        Raises:
            KeyError: a tensor of the call is missing.
        """

        def fill(node: Any) -> Any:
            if isinstance(node, Leaf):
                return tensors[node.name]
            if isinstance(node, Opaque):
                return node.value
            if isinstance(node, KeyValueCache):
                return rebuild([CacheLayer(fill(layer.key), fill(layer.value)) for layer in node.layers])
            if isinstance(node, dict):
                return {key: fill(value) for key, value in node.items()}
            if isinstance(node, (list, tuple)):
                return type(node)(fill(value) for value in node)
            return node

        return tuple(fill(arg) for arg in self.args), {key: fill(value) for key, value in self.kwargs.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON. Raises ValueError if not portable."""
        return {
            "args": [_encode(arg) for arg in self.args],
            "kwargs": {key: _encode(value) for key, value in self.kwargs.items()},
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> CallStructure:
        return cls(
            args=tuple(_decode(arg) for arg in fields["args"]),
            kwargs={str(key): _decode(value) for key, value in fields["kwargs"].items()},
        )


def flatten_call(
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    parameter_names: Sequence[str],
    *,
    is_tensor: Callable[[Any], bool],
) -> tuple[dict[str, Any], CallStructure]:
    """Tensors of a call by dotted name, and the structure that binds them again.

    Args:
        args, kwargs: the call as it was made.
        parameter_names: names of the positional parameters of ``forward``; surplus positional arguments are
            called ``arg<i>``.
        is_tensor: what is a leaf.

    Nested values are named by path (``past.0.key``); tensors stay the caller's objects, nothing is copied.
    """
    tensors: dict[str, Any] = {}

    def walk(value: Any, name: str) -> Any:
        if is_tensor(value):
            tensors[name] = value
            return Leaf(name)
        if isinstance(value, _CONSTANTS):
            return value
        if type(value) is dict and all(isinstance(key, (str, int)) for key in value):
            return {key: walk(item, f"{name}.{key}") for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(walk(item, f"{name}.{index}") for index, item in enumerate(value))
        layers = layers_of_argument(value)
        if layers is not None:
            pairs = enumerate(layers)
            return KeyValueCache(
                tuple(
                    CacheLayer(walk(layer.key, f"{name}.{index}.key"), walk(layer.value, f"{name}.{index}.value"))
                    for index, layer in pairs
                )
            )
        return Opaque(value)

    named = [
        (parameter_names[index] if index < len(parameter_names) else f"arg{index}", value)
        for index, value in enumerate(args)
    ]
    structure = CallStructure(
        args=tuple(walk(value, name) for name, value in named),
        kwargs={key: walk(value, key) for key, value in kwargs.items()},
    )
    return tensors, structure


def flatten_result(result: Any, *, is_tensor: Callable[[Any], bool], name: str = "output") -> dict[str, Any]:
    """Tensors of a model's result by name, in order.

    A single tensor is ``output``; a sequence ``output.0``, ``output.1`` …; a mapping or an object with fields
    (dataclass, transformers' ModelOutput, named tuple) uses its own field names at the top level. A key-value cache
    is ``past_key_values.0.key``, ``past_key_values.0.value`` …
    """
    tensors: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if is_tensor(value):
            tensors[path or name] = value
        elif isinstance(value, Mapping):
            for key, item in value.items():
                walk(item, f"{path}.{key}" if path else str(key))
        elif isinstance(value, tuple) and (fields := getattr(value, "_fields", None)) is not None:
            for key in fields:
                walk(getattr(value, key), f"{path}.{key}" if path else key)
        elif isinstance(value, (list, tuple)):
            for index, item in enumerate(value):
                walk(item, f"{path or name}.{index}")
        elif hasattr(value, "__dataclass_fields__"):
            for key in value.__dataclass_fields__:
                walk(getattr(value, key), f"{path}.{key}" if path else key)
        else:
            for key, item in (named_layers(value) or {}).items():
                walk(item, f"{path or name}.{key}")

    walk(result, "")
    return tensors


def _nodes(node: Any) -> list[Any]:
    """Everything that is neither a dictionary nor a sequence, in order; a cache is followed by its leaves."""
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in _nodes(value)]
    if isinstance(node, (list, tuple)):
        return [leaf for value in node for leaf in _nodes(value)]
    if isinstance(node, KeyValueCache):
        return [node, *_nodes(node.layers)]
    return [node]


def _encode(node: Any) -> Any:
    if isinstance(node, Leaf):
        return {"tensor": node.name}
    if isinstance(node, Opaque):
        raise ValueError(f"an argument of type {type(node.value).__name__} cannot be written to a file")
    if isinstance(node, KeyValueCache):
        return {"cache": [[_encode(layer.key), _encode(layer.value)] for layer in node.layers]}
    if isinstance(node, dict):
        return {"dict": [[key, _encode(value)] for key, value in node.items()]}
    if isinstance(node, list):
        return {"list": [_encode(value) for value in node]}
    if isinstance(node, tuple):
        return {"tuple": [_encode(value) for value in node]}
    return {"constant": node}


def _decode(node: Mapping[str, Any]) -> Any:
    ((kind, value),) = node.items()
    if kind == "tensor":
        return Leaf(str(value))
    if kind == "dict":
        return {key: _decode(item) for key, item in value}
    if kind == "list":
        return [_decode(item) for item in value]
    if kind == "tuple":
        return tuple(_decode(item) for item in value)
    if kind == "cache":
        return KeyValueCache(tuple(CacheLayer(_decode(key), _decode(value)) for key, value in value))
    if kind == "constant" and isinstance(value, _CONSTANTS):
        return value
    raise ValueError(f"unknown kind of argument: {kind}")
