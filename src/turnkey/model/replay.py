"""One more call of a model on a captured sample, written down: what it computes, step by step.

The call is made in evaluation mode and without gradients under a `TorchFunctionMode`, which is told of every call
of torch's public API and of nothing below it. Random state, training flags, buffers and attributes of the module
are as before afterwards. The mode switches off torch's fast paths; therefore this happens after the script, never
inside the user's own calls.

Definition of a step: docs/decisions/model-hash.md. Reads of metadata are no steps; writes are, and later references
point to them. A tensor is *tainted* if inputs, weights or random numbers reach it: only reads of tainted values make a
model data-dependent (``torch.linspace(0, 0.1, 4).tolist()`` does not).

Trade-offs (accepted): an alias of a tensor that is written through another alias keeps its older reference.
"""

from __future__ import annotations

import inspect
import random
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Any

import torch
from torch.overrides import TorchFunctionMode, get_testing_overrides, resolve_name

from turnkey.model.call import CallStructure, flatten_result
from turnkey.model.canonical import SCRIPTED
from turnkey.model.samples import Sample
from turnkey.model.script_graph import describe_graph
from turnkey.model.torch_bridge import array_of, evaluation_mode, is_materialized, is_tensor, tensors_of

_DATA_READS = {"item", "tolist", "numpy", "__bool__", "__int__", "__float__", "__complex__", "__index__", "__array__"}
_DATA_READS |= {"__contains__", "is_nonzero", "equal", "allclose"}
_DATA_READS |= {"nonzero", "unique", "unique_consecutive", "masked_select", "argwhere", "bincount"}  # their shapes
_DEVICE_MOVES = frozenset({"to", "cpu", "cuda"})
_NOT_OF_THE_MODEL = frozenset({"device", "generator", "pin_memory", "non_blocking", "requires_grad", "memory_format"})
_RANDOM = frozenset({"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like", "bernoulli"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one replay wrote down.

    Attributes:
        inputs: ``[shape, dtype]`` per input, in the order of the call.
        weights: ``[shape, dtype]`` in order of first use.
        steps: public-API calls; see the module's header.
        tree: nested module calls: ``[class, own weights, input shapes, [children]]``.
        outputs: ``[reference, shape, dtype]`` per output.
        result: the outputs themselves by name; None if the call raised.
        data_reads: names of the functions that read values of tensors, sorted.
        error: what the call raised, in one line; empty if it succeeded.
    """

    inputs: list[Any]
    weights: list[Any]
    steps: list[Any]
    tree: list[Any]
    outputs: list[Any]
    result: Sample | None
    data_reads: tuple[str, ...]
    error: str = ""


def replay(module: torch.nn.Module, structure: CallStructure, sample: Sample) -> Replay:
    """Call a module once on a sample and write down what it does. A call that raises is a replay with ``error``."""
    weight = next(module.parameters(), None)
    device = str(weight.device) if weight is not None and not weight.is_meta else "cpu"
    tensors = tensors_of(sample, device)
    recorder = _Recorder(tensors.values(), [*module.parameters(), *module.buffers()])
    args, kwargs = structure.bind(tensors)
    result, error = None, ""
    calls: list[Any] = []
    try:
        with put_back(module), evaluation_mode(module), _eager(), _module_calls(recorder, calls), recorder:
            result = module(*args, **kwargs)
    except Exception as raised:  # noqa: BLE001 - whatever the user's forward or eval raises; told as a fact
        error = f"{type(raised).__name__}: {raised}".splitlines()[0]
    outputs = flatten_result(result, is_tensor=is_tensor) if not error else {}
    return Replay(
        inputs=[_shape_and_dtype(tensor) for tensor in tensors.values()],
        weights=recorder.weights,
        steps=recorder.steps,
        tree=calls,
        outputs=[[recorder.refer(tensor), *_shape_and_dtype(tensor)] for tensor in outputs.values()],
        result=None if error else {name: array_of(tensor) for name, tensor in outputs.items()},
        data_reads=tuple(sorted(recorder.data_reads)),
        error=error,
    )


@dataclass(slots=True)
class _Known:
    """A tensor object that has been met; the weak reference tells whether an id still means it."""

    alive: weakref.ref[Any]
    reference: list[Any]
    tainted: bool


class _Recorder(TorchFunctionMode):  # type: ignore[misc]  # torch is not typed here
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
        tainted = name in _RANDOM or any(self._is_tainted(tensor) for tensor in _tensors((args, kwargs)))
        result = func(*args, **kwargs)
        if tainted and _reads_data(name, args, kwargs):
            self.data_reads.add(name)
        outputs = _tensors(result)
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
        self.steps.append([name, arguments, [_shape_and_dtype(tensor) for tensor in outputs]])
        for position, tensor in enumerate(outputs):
            self._know(tensor, ["step", len(self.steps) - 1, position], tainted=tainted)

    def refer(self, tensor: Any) -> list[Any]:
        """How a step names a tensor."""
        if not isinstance(tensor, torch.Tensor):
            return ["array", *_shape_and_dtype(tensor)]
        known = self._known.get(id(tensor))
        if known is not None and known.alive() is tensor:
            return known.reference
        if id(tensor) in self._registered:
            self.weights.append(_shape_and_dtype(tensor))
            reference = ["weight", len(self.weights) - 1]
        else:
            reference = ["constant", *_shape_and_dtype(tensor)]
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
        return any(tensor.dtype in (torch.bool, torch.uint8) for tensor in _tensors(args[1:]))
    if name == "where":
        return len(args) + len(kwargs) == 1
    return name == "repeat_interleave" and len(_tensors((args[1:], kwargs))) > 0


def _only_moves(after: torch.Tensor, before: Any) -> bool:
    return isinstance(before, torch.Tensor) and after.dtype == before.dtype and after.shape == before.shape


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, (list, tuple)):
        return [tensor for item in value for tensor in _tensors(item)]
    if isinstance(value, dict):
        return [tensor for item in value.values() for tensor in _tensors(item)]
    return []


def _shape_and_dtype(tensor: Any) -> list[Any]:
    return [list(tensor.shape), str(tensor.dtype).removeprefix("torch.")]


@contextmanager
def _module_calls(recorder: _Recorder, root: list[Any]) -> Iterator[None]:
    """The tree of module calls; a scripted module inside is one step, since the mode does not see into it."""
    original: Any = torch.nn.Module.__call__
    open_calls = [root]

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = [*self._parameters.values(), *self._buffers.values()] if not _is_scripted(self) else [*self.parameters()]
        inputs = _tensors((args, kwargs))
        children: list[Any] = []
        shapes = [_shape_and_dtype(tensor) for tensor in own if tensor is not None and is_materialized(tensor)]
        kind = getattr(self, "original_name", type(self).__name__)
        open_calls[-1].append([kind, shapes, [_shape_and_dtype(tensor) for tensor in inputs], children])
        open_calls.append(children)
        try:
            if not _is_scripted(self):
                return original(self, *args, **kwargs)
            arguments = recorder.encode([list(args), kwargs])
            result = original(self, *args, **kwargs)
            recorder.step(SCRIPTED, [describe_graph(self), arguments], _tensors(result), tainted=True)
            return result
        finally:
            open_calls.pop()

    torch.nn.Module.__call__ = called
    try:
        yield
    finally:
        torch.nn.Module.__call__ = original


def _is_scripted(module: Any) -> bool:
    return isinstance(module, torch.jit.ScriptModule)


@contextmanager
def _eager() -> Iterator[None]:
    """Compiled functions inside the model run as they are written, so that the mode sees them."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def put_back(module: torch.nn.Module) -> Iterator[None]:
    """Random state, buffers and attributes of the module as before, whatever its forward does to them."""
    parts = [part for part in module.modules() if not _is_scripted(part)]
    attributes = [(table, dict(table)) for part in parts for table in _tables(part)]
    buffers = [
        (buffer, buffer.clone(), buffer._version)
        for buffer in module.buffers()
        if is_materialized(buffer) and not buffer.is_inference()
    ]
    python_state = random.getstate()
    numpy_random = sys.modules.get("numpy.random")
    numpy_state = numpy_random.get_state() if numpy_random is not None else None
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python_state)
        if numpy_random is not None:
            numpy_random.set_state(numpy_state)
        for table, content in attributes:
            if not _holds_the_same(table, content):
                table.clear()
                table.update(content)
        with torch.no_grad():
            for buffer, content, version in buffers:
                if buffer._version != version:
                    buffer.copy_(content)


def _tables(part: torch.nn.Module) -> list[dict[str, Any]]:
    return [part.__dict__, part._parameters, part._buffers, part._modules]


def _holds_the_same(table: dict[str, Any], content: dict[str, Any]) -> bool:
    missing = object()
    return len(table) == len(content) and all(table.get(name, missing) is value for name, value in content.items())
