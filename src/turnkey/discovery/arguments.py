"""The arguments of one module call: their signature, their names, and a copy of their tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, ParamSpec, TypeVar

import torch
from torch._C._dynamo.eval_frame import set_eval_frame
from torch.utils._python_dispatch import _disable_current_modes, _get_current_dispatch_mode_stack

from turnkey.discovery.invocation import Invocation
from turnkey.model.call import CallStructure, Opaque, flatten_call
from turnkey.model.key_value_cache import layers_of_argument
from turnkey.model.samples import Sample
from turnkey.model.torch_bridge import array_of, is_materialized

P = ParamSpec("P")
T = TypeVar("T")

_CONSTANTS = frozenset({type(None), bool, int, str})
_TENSORS = frozenset({torch.Tensor, torch.nn.Parameter})
_SYMBOLIC_TENSORS = frozenset({"FakeTensor", "FunctionalTensor", "Proxy"})
_SYMBOLIC_MODES = frozenset({"FakeTensorMode", "FunctionalTensorMode", "ProxyTorchDispatchMode"})


class DescribedCall(NamedTuple):
    """What is noted once per signature."""

    structure: CallStructure
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    opaque: tuple[str, ...]


def key_of(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, ...]:
    """A hashable form of a call as it was written: shapes and dtypes of tensors, values of constants."""
    if kwargs:
        return (*[_key(value) for value in args], *[(name, _key(value)) for name, value in kwargs.items()])
    return tuple([_key(value) for value in args])


def canonical_key(
    args: Sequence[Any], kwargs: Mapping[str, Any], names: Mapping[str, Any]
) -> tuple[tuple[str, Any], ...]:
    """The same for every way of writing a call: by parameter, constants equal to their default left out.

    Args:
        names: the parameters of ``forward`` with their defaults (`parameter_names`).
    """
    named = _named(args, kwargs, names)
    return tuple(
        (name, _key(value))
        for name, value in named.items()
        if not (type(value) in _CONSTANTS and name in names and value is names[name])
    )


def parameter_names(module: Any) -> dict[str, Any]:
    """Names of the parameters of ``forward`` in order, each with its default (`inspect.Parameter.empty` if none)."""
    forward = getattr(module, "_orig_mod", module).forward
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):  # scripted methods say it in their schema
        schema = getattr(forward, "schema", None)
        names = [argument.name for argument in schema.arguments] if schema is not None else []
        return dict.fromkeys((name for name in names if name != "self"), inspect.Parameter.empty)
    fixed = (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
        inspect.Parameter.KEYWORD_ONLY,
    )
    return {parameter.name: parameter.default for parameter in parameters if parameter.kind in fixed}


def describe(args: Sequence[Any], kwargs: Mapping[str, Any], names: Mapping[str, Any]) -> DescribedCall:
    """Structure of a call, shapes and dtypes of its tensors by name, and types of what is kept by reference."""
    ordered = {name: kwargs[name] for name in names if name in kwargs} | dict(kwargs)
    tensors, structure = flatten_call(args, ordered, _positional(names), is_tensor=_is_tensor)
    return DescribedCall(
        structure=structure,
        shapes={name: tuple(tensor.shape) for name, tensor in tensors.items()},
        dtypes={name: str(tensor.dtype).removeprefix("torch.") for name, tensor in tensors.items()},
        opaque=tuple(_opaque_types((structure.args, dict(structure.kwargs)))),
    )


def unnoticed(function: Callable[P, T]) -> Callable[P, T]:
    """The function, run so that nobody sees what it does with tensors.

    Dynamo's frame evaluation is off, since the function's frames are nobody's to compile, and so are the modes of
    the script that are told of torch calls.
    """

    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        evaluation = set_eval_frame(None)
        try:
            with torch._C.DisableTorchFunction():
                return function(*args, **kwargs)
        finally:
            set_eval_frame(evaluation)

    return run


@unnoticed
def capture(invocation: Invocation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Sample | None:
    """A copy of a call's tensors in host memory; None where they have no bytes (meta device, inside a transform)."""
    if is_symbolic(args, kwargs):
        return None
    with _disable_current_modes(), torch.no_grad():
        names = parameter_names(invocation.seen.module) if invocation.seen.module is not None else {}
        tensors, _ = flatten_call(args, kwargs, _positional(names), is_tensor=_is_tensor)
        if not all(is_materialized(tensor) for tensor in tensors.values()):
            return None
        return {name: array_of(tensors[name]) for name in invocation.shapes if name in tensors}


def is_symbolic(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a tracer, an exporter or a transform is calling, with stand-ins for tensors."""
    if torch._C._get_tracing_state() is not None or torch._C._functorch.peek_interpreter_stack() is not None:
        return True
    if torch.compiler.is_compiling():
        return True
    if any(type(mode).__name__ in _SYMBOLIC_MODES for mode in _get_current_dispatch_mode_stack()):
        return True
    return _holds_symbolic((tuple(args), dict(kwargs)))


def size_bytes(tensor: torch.Tensor) -> int:
    """Bytes of a tensor's elements; 0 while it has none."""
    if not is_materialized(tensor):
        return 0
    return int(tensor.numel() * tensor.element_size())


def _key(value: Any) -> Any:
    kind = type(value)
    if kind in _TENSORS:
        return (value.shape, value.dtype)
    if kind in _CONSTANTS:
        return (kind, value)
    if kind is float:
        return (kind, repr(value))  # nan would never equal itself
    if isinstance(value, torch.Tensor):
        return (kind, value.shape, value.dtype)
    if kind is list or kind is tuple:
        return (kind, *[_key(item) for item in value])
    if kind is dict:
        return (kind, *[(str(name), _key(item)) for name, item in value.items()])
    layers = layers_of_argument(value)
    return ("opaque", kind) if layers is None else (kind, *[_key(item) for layer in layers for item in layer])


def _named(args: Sequence[Any], kwargs: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    positional = _positional(names)
    named = {
        (positional[index] if index < len(positional) else f"arg{index}"): value for index, value in enumerate(args)
    }
    named |= {name: kwargs[name] for name in names if name in kwargs}
    return named | {name: value for name, value in sorted(kwargs.items()) if name not in named}


def _positional(names: Mapping[str, Any]) -> list[str]:
    return list(names)


def _is_tensor(value: Any) -> bool:
    return isinstance(value, torch.Tensor)


def _holds_symbolic(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_holds_symbolic(item) for item in value)
    if isinstance(value, dict):
        return any(_holds_symbolic(item) for item in value.values())
    return any(base.__name__ in _SYMBOLIC_TENSORS for base in type(value).__mro__)


def _opaque_types(node: Any) -> list[str]:
    if isinstance(node, Opaque):
        return [type(node.value).__name__]
    if isinstance(node, dict):
        return [name for value in node.values() for name in _opaque_types(value)]
    if isinstance(node, (list, tuple)):
        return [name for value in node for name in _opaque_types(value)]
    return []
