"""The recorder: what one call of a model computes, as a list of steps of torch's public functions.

It is a `TorchFunctionMode`, which is told of every call of torch's public API and of nothing below it. Definition of a
step: docs/decisions/model-hash.md. Reads of metadata are no steps; writes are, and later references point to them. A
tensor is *tainted* if inputs, weights or random numbers reach it: only reads of tainted values make a model
data-dependent (``torch.linspace(0, 0.1, 4).tolist()`` does not).

Trade-offs (accepted): an alias of a tensor that is written through another alias keeps its older reference.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, get_testing_overrides, resolve_name

_DATA_READS = {"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__array__"}
_DATA_READS |= {"__contains__", "is_nonzero", "equal", "allclose"}
_DATA_READS |= {"nonzero", "unique", "unique_consecutive", "masked_select", "argwhere", "bincount"}  # their shapes
_DEVICE_MOVES = frozenset({"to", "cpu", "cuda"})
_NOT_OF_THE_MODEL = frozenset({"device", "generator", "pin_memory", "non_blocking", "requires_grad", "memory_format"})
_RANDOM = frozenset({"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli"})


@dataclass(slots=True)
class _Known:
    """A tensor object that has been met; the weak reference tells whether an id still means it."""

    alive: weakref.ref[Any]
    reference: list[Any]
    tainted: bool


class Recorder(TorchFunctionMode):  # type: ignore[misc]  # torch is not typed here
    """Writes the steps of one call.

    Args:
        inputs: tensors of the call in order.
        registered: parameters and buffers of the module.
    """

    def __init__(self, inputs: Iterable[torch.Tensor], registered: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.weights: list[Any] = []
        self.steps: list[Any] = []
        self.data_reads: set[str] = set()
        self._known: dict[int, _Known] = {}
        self._registered = {id(tensor) for tensor in registered}  # the module keeps them alive meanwhile
        for index, tensor in enumerate(inputs):
            self._know(tensor, ["input", index], tainted=True)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        arguments = self._arguments(func, args, kwargs)  # before the call: it may write
        tainted = name in _RANDOM or any(self._is_tainted(tensor) for tensor in tensors_in((args, kwargs)))
        result = func(*args, **kwargs)
        if tainted and _reads_data(name, args, kwargs):
            self.data_reads.add(name)
        outputs = tensors_in(result)
        if name in _DEVICE_MOVES and outputs and _only_moves(outputs[0], args[0]):
            self._know(outputs[0], self.refer(args[0]), tainted=tainted)
            return result
        if name == "__setitem__":
            outputs = [args[0]]
        if outputs:
            self.step(_public_name(func), arguments, outputs, tainted=tainted)
        return result

    def step(self, name: str, arguments: Any, outputs: list[torch.Tensor], *, tainted: bool) -> None:
        """Write one step down; from now on its outputs are referred to by it."""
        self.steps.append([name, arguments, [shape_and_dtype(tensor) for tensor in outputs]])
        for position, tensor in enumerate(outputs):
            self._know(tensor, ["step", len(self.steps) - 1, position], tainted=tainted)

    def refer(self, tensor: Any) -> list[Any]:
        """How a step names a tensor."""
        if not isinstance(tensor, torch.Tensor):
            return ["array", *shape_and_dtype(tensor)]
        known = self._known.get(id(tensor))
        if known is not None and known.alive() is tensor:
            return known.reference
        if id(tensor) in self._registered:
            self.weights.append(shape_and_dtype(tensor))
            reference = ["weight", len(self.weights) - 1]
        else:
            reference = ["constant", *shape_and_dtype(tensor)]
        self._know(tensor, reference, tainted=True)
        return reference

    def encode(self, value: Any) -> Any:
        """An argument as canonical data."""
        if isinstance(value, torch.Tensor):
            return self.refer(value)
        if value is None or (isinstance(value, (bool, int, float, str)) and not isinstance(value, Enum)):
            return value
        if isinstance(value, (list, tuple)):
            return [self.encode(item) for item in value]
        if isinstance(value, dict):
            return {str(key): self.encode(item) for key, item in value.items()}
        if isinstance(value, slice):
            return ["slice", *(self.encode(item) for item in (value.start, value.stop, value.step))]
        if isinstance(value, (torch.dtype, torch.layout, torch.memory_format, Enum, complex)) or value is Ellipsis:
            return ["value", str(value)]
        if isinstance(value, (torch.device, torch.Generator)):
            return ["device"]
        return ["object", getattr(value, "__qualname__", type(value).__qualname__)]

    def _arguments(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Arguments by parameter name, without those that are as by default and without devices."""
        signature = _signature(func)
        if signature is not None:
            try:
                bound = signature.bind(*args, **kwargs).arguments
            except TypeError:  # one of several overloads; the table knows another
                signature = None
        if signature is None:
            left = {name: value for name, value in kwargs.items() if name not in _NOT_OF_THE_MODEL}
            return [[self.encode(value) for value in args if not isinstance(value, torch.device)], self.encode(left)]
        parameters = signature.parameters
        return {
            name: self.encode(value)
            for name, value in bound.items()
            if name not in _NOT_OF_THE_MODEL
            and not isinstance(value, torch.device)
            and not _is_default(value, parameters[name].default)
        }

    def _know(self, tensor: torch.Tensor, reference: list[Any], *, tainted: bool) -> None:
        self._known[id(tensor)] = _Known(weakref.ref(tensor), reference, tainted)

    def _is_tainted(self, tensor: torch.Tensor) -> bool:
        known = self._known.get(id(tensor))
        return known is None or known.alive() is not tensor or known.tainted


@lru_cache(maxsize=4096)
def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """Parameters of a public function; for builtins as torch's own table of overridable functions gives them."""
    described = func if inspect.isfunction(func) else get_testing_overrides().get(func)
    if described is None:
        return None
    try:
        return inspect.signature(described)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=4096)
def _public_name(func: Callable[..., Any]) -> str:
    name = resolve_name(func)
    return str(name or f"{getattr(func, '__module__', '')}.{getattr(func, '__qualname__', func)}")


def _is_default(value: Any, default: Any) -> bool:
    return type(value) is type(default) and isinstance(value, (type(None), bool, int, float, str)) and value == default


def _reads_data(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Whether a function gives values or a shape that depend on the values of its tensors."""
    if name in _DATA_READS:
        return True
    if name == "__getitem__":
        return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in tensors_in(args[1:]))
    if name == "where":
        return len(args) + len(kwargs) == 1
    return name == "repeat_interleave" and len(tensors_in((args[1:], kwargs))) > 0


def _only_moves(after: torch.Tensor, before: Any) -> bool:
    return isinstance(before, torch.Tensor) and after.dtype == before.dtype and after.shape == before.shape


def tensors_in(value: Any) -> list[torch.Tensor]:
    """Tensors in nested lists, tuples and dicts, in order."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in tensors_in(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in tensors_in(item)]
    return []


def shape_and_dtype(tensor: Any) -> list[Any]:
    """As canonical data: ``[[2, 3], "float32"]``."""
    return [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]
