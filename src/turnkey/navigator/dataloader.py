"""What a dataloader yields, as calls of a model: named arrays, and the structure that binds them to arguments.

A sample is a tensor, an iterable of tensors (arguments in order), a mapping (keyword arguments), or any nesting of
dictionaries, lists, tuples and constants; the last element of a tuple may be a mapping of keyword arguments. Whether a
mapping is meant by keyword is decided by the model's own parameters: where it takes no parameters of those names, the
mapping is one positional argument.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, Union, runtime_checkable

import ml_dtypes
import numpy as np

from turnkey.errors import ModelError
from turnkey.formats.failure_text import evidence_of
from turnkey.model.call import CallStructure, KeyValueCache, Leaf, flatten_call
from turnkey.model.key_value_cache import CacheLayer
from turnkey.model.samples import Sample
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning, UserInputError


@runtime_checkable
class SizedIterable(Protocol):
    """Protocol representing sized iterable. Used by dataloader."""

    def __iter__(self) -> Iterator[Any]:
        """Magic method __iter__.

        Returns:
            Iterator to next item.
        """

    def __len__(self) -> int:
        """Magic method __len__.

        Returns:
            Length of size iterable.
        """


SizedDataLoader = Union[SizedIterable, Sequence]  # type: ignore[type-arg]  # noqa: UP007  its documented value
VerifyFunction: TypeAlias = "Callable[[Iterable[Sample], Iterable[Sample]], bool]"
"""First the outputs of the runner, then those of the source model, in the dataloader's order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """The samples of a dataloader as calls of one structure.

    Attributes:
        structure: how a sample becomes the model's arguments.
        samples: named arrays, in the dataloader's order.
    """

    structure: CallStructure
    samples: tuple[Sample, ...]


def checked_items(dataloader: Any, count: int | None = None) -> Iterator[Any]:
    """The items of a dataloader, as many as it says it has (and at most ``count``), one after another.

    Raises:
        ConfigurationError: it is no sized iterable, it is empty, or it yields fewer items than it says.
        ModelError: it fails.
    """
    try:
        length, iterator = len(dataloader), iter(dataloader)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigurationError(
            "the dataloader must be iterable and have a length",
            evidence=f"{type(dataloader).__name__}: {error}",
            remedy="give a list of samples, or a class with __iter__ and __len__",
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise ModelError("the dataloader fails", evidence=evidence_of(error)) from error
    if length < 1:
        raise ConfigurationError("the dataloader is empty", evidence=f"len() is {length}")
    wanted = length if count is None else min(count, length)
    for index in range(wanted):
        try:
            item = next(iterator)
        except StopIteration:
            raise ConfigurationError(
                "the dataloader has fewer samples than its length says", evidence=f"{index} of {length}"
            ) from None
        except Exception as error:  # the user's code may raise anything
            raise ModelError(f"the dataloader fails at sample {index}", evidence=evidence_of(error)) from error
        yield item
    if wanted == length and next(iterator, _END) is not _END:
        message = f"the dataloader yields more than the {length} samples that its length says; the rest is ignored"
        warnings.warn(message, ConfigurationWarning, stacklevel=2)


_END = object()


def read_calls(
    dataloader: Any,
    *,
    takes: Callable[..., Any] | None,
    count: int | None = None,
    names: Sequence[str] | None = None,
) -> Calls:
    """Samples of a dataloader under the model's input names.

    Args:
        takes: the model's function (``forward``), whose parameters tell keywords from arguments; None where only
            named arrays are taken (ONNX files).
        count: read at most so many.
        names: input names by position; None names them by mapping keys, else ``input__0``, ``input__1`` …

    Raises:
        ConfigurationError, ModelError: as `checked_items`; other names than tensors.
        UserInputError: samples that differ in structure, or hold what is neither tensor, container nor constant.
    """
    structure: CallStructure | None = None
    samples = []
    for index, item in enumerate(checked_items(dataloader, count)):
        args, kwargs = as_call(item, takes)
        tensors, found = flatten_call(args, kwargs, (), is_tensor=is_tensor)
        if not found.is_portable:
            raise UserInputError(
                f"sample {index} of the dataloader holds an object that is no tensor, container or constant",
                evidence=f"inputs: {', '.join(tensors) or 'none'}",
                remedy="yield tensors in dictionaries, lists or tuples",
            )
        if not tensors:
            raise UserInputError(
                f"sample {index} of the dataloader holds no tensor",
                evidence=repr(item)[:200],
                remedy="yield tensors or containers of them; one sample alone is a list of one: [sample]",
            )
        if len(tensors) < len(found.names):
            raise UserInputError(
                f"two tensors of sample {index} have one name",
                evidence=f"{', '.join(found.names)}: dots stand between the keys of nested dictionaries",
                remedy="give one of them another key",
            )
        renamed = _new_names(tensors, keywords=found.kwargs, by_position=names)
        found = CallStructure(
            args=tuple(_renamed(arg, renamed) for arg in found.args),
            kwargs={key: _renamed(value, renamed) for key, value in found.kwargs.items()},
        )
        if structure is not None and found != structure:
            raise UserInputError(
                f"sample {index} of the dataloader has another structure than the first",
                evidence=f"{found.to_dict()}\ninstead of {structure.to_dict()}"[:1000],
                remedy="every sample must have the same keys, nesting and constants",
            )
        structure = found
        samples.append({renamed[name]: array_of(tensor) for name, tensor in tensors.items()})
    assert structure is not None, "checked_items yields at least one"
    _check_layout(samples)
    return Calls(structure=structure, samples=tuple(samples))


def as_call(item: Any, takes: Callable[..., Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """One item as ``(args, kwargs)``; see the module's header."""
    item = _plain_containers(item)
    if isinstance(item, dict):
        return ((), item) if _fits(takes, (), item) else ((item,), {})
    if is_tensor(item) or not isinstance(item, list | tuple):
        return (item,), {}
    if item and isinstance(item[-1], dict) and _fits(takes, item[:-1], item[-1]):
        return tuple(item[:-1]), item[-1]
    return tuple(item), {}


def is_tensor(value: Any) -> bool:
    """Whether a value is an array: numpy's, torch's, or of any library that gives numpy its data."""
    if isinstance(value, np.ndarray | np.generic):
        return True
    return hasattr(value, "__array__") and hasattr(value, "dtype") and hasattr(value, "shape")


def is_storable(array: np.ndarray) -> bool:
    """Whether an array is one of numbers, booleans or texts, which files of samples hold."""
    if array.dtype.kind == "O":
        return all(isinstance(item, str) for item in array.flat)
    return array.dtype.kind in "biufcUS" or hasattr(ml_dtypes, array.dtype.name)


def not_finite(array: np.ndarray) -> int:
    """How many elements are NaN or infinite. Numpy knows the kind of bfloat16 no better than that of bytes."""
    if array.dtype.kind not in "fcV":
        return 0
    return int((~np.isfinite(array.astype(np.float32) if array.dtype.kind == "V" else array)).sum())


def array_of(tensor: Any) -> np.ndarray:
    """A copy in host memory with the same bits."""
    if type(tensor).__module__.partition(".")[0] == "torch" or _is_torch(tensor):
        from turnkey.model.torch_bridge import array_of as array_of_torch  # torch is loaded already

        return array_of_torch(tensor)
    return np.array(tensor, copy=True)


def _is_torch(tensor: Any) -> bool:
    """Subclasses of tensors have modules of their own."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(tensor, torch.Tensor)


def _plain_containers(item: Any) -> Any:
    """Mappings of all kinds (BatchEncoding) as dictionaries; iterators of tensors (generators) as tuples."""
    if is_tensor(item) or isinstance(item, str | bytes):
        return item
    if isinstance(item, Mapping):
        return {key: _plain_containers(value) for key, value in item.items()}
    if isinstance(item, list):
        return [_plain_containers(value) for value in item]
    if isinstance(item, tuple | Iterator):
        return tuple(_plain_containers(value) for value in item)
    return item


def _fits(takes: Callable[..., Any] | None, args: Sequence[Any], kwargs: Mapping[Any, Any]) -> bool:
    """Whether a function can be called so; where its parameters are not known, keywords are meant."""
    if not all(isinstance(key, str) for key in kwargs):
        return False
    if takes is None:
        return True
    try:
        signature = inspect.signature(takes)
    except (TypeError, ValueError):  # built-in functions and scripted modules have none
        return True
    try:
        signature.bind(*args, **kwargs)
    except TypeError:
        try:
            signature.bind(*args, dict(kwargs))
        except TypeError:
            return True  # it fits neither way: the model's own message about keywords is the clearer one
        return False
    return True


def _new_names(
    tensors: Mapping[str, Any], *, keywords: Collection[str], by_position: Sequence[str] | None
) -> dict[str, str]:
    """What the leaves of a call are called: the given names, paths of keys, else ``input__<i>``."""
    if by_position is not None:
        if len(by_position) != len(tensors) or len(set(by_position)) != len(by_position):
            raise ConfigurationError(
                "input_names must name every tensor of a sample once",
                evidence=f"{len(tensors)} tensors, names: {', '.join(by_position)}",
            )
        return dict(zip(tensors, by_position, strict=True))
    named = {name for name in tensors if any(name == key or name.startswith(f"{key}.") for key in keywords)}
    return {name: name if name in named else f"input__{position}" for position, name in enumerate(tensors)}


def _renamed(node: Any, names: Mapping[str, str]) -> Any:
    if isinstance(node, Leaf):
        return Leaf(names[node.name])
    if isinstance(node, KeyValueCache):
        layers = (CacheLayer(_renamed(layer.key, names), _renamed(layer.value, names)) for layer in node.layers)
        return KeyValueCache(tuple(layers))
    if isinstance(node, dict):
        return {key: _renamed(value, names) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_renamed(value, names) for value in node)
    return node


def _check_layout(samples: Sequence[Sample]) -> None:
    first = samples[0]
    for index, sample in enumerate(samples):
        for name, array in sample.items():
            if not is_storable(array):
                raise UserInputError(
                    f"input {name!r} of sample {index} is no array of numbers, booleans or texts",
                    evidence=f"{array.dtype}{list(array.shape)}",
                )
            if array.dtype != first[name].dtype or array.ndim != first[name].ndim:
                raise UserInputError(
                    f"input {name!r} changes its dtype or rank within the dataloader",
                    evidence=f"sample {index}: {array.dtype}{list(array.shape)}, "
                    f"sample 0: {first[name].dtype}{list(first[name].shape)}",
                )
            if not_finite(array):
                message = f"input {name!r} of sample {index} holds NaN or infinity"
                warnings.warn(message, ConfigurationWarning, stacklevel=3)
