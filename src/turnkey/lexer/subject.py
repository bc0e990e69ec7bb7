"""The model under evaluation with the input of one call: named, run once, hashed, and left as it was.

An input is a tensor or array (the only argument), a tuple or list (positional arguments), or a mapping (keyword
arguments); values inside may be nested. Where both kinds are needed, ``input_kwargs`` has the keyword arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from turnkey.discovery.arguments import parameter_names
from turnkey.errors import ModelError, UsageError
from turnkey.lexer.decoration import unwrapped
from turnkey.lexer.options import LexerSettings
from turnkey.model.call import CallStructure, KeyValueCache, Leaf, flatten_call
from turnkey.model.hash import replay_hash, weights_hash
from turnkey.model.key_value_cache import CacheLayer
from turnkey.model.replay import replay
from turnkey.model.samples import Sample, SampleSet
from turnkey.model.signature import Signature, specs_of
from turnkey.model.source import SourceModel
from turnkey.model.torch_bridge import array_of, is_materialized, is_tensor
from turnkey.verify import batch_size


class FunctionModule(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """A callable that is no module, as one; the modules that it calls are its children, as far as they are seen."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.training = False  # of this wrapper; those of the children are their own
        self.function = function
        for index, child in enumerate(_modules_in(function)):
            self.add_module(f"part{index}", child)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


def _modules_in(function: Any) -> list[torch.nn.Module]:
    """Modules that a function holds: as owner of a method, inside of a partial, in its closure, by global name."""
    code = getattr(function, "__code__", None)
    held = [getattr(function, "__self__", None), getattr(function, "func", None)]
    held += [_content(cell) for cell in getattr(function, "__closure__", None) or ()]
    if code is not None:
        held += [function.__globals__.get(name) for name in code.co_names]
    found = {id(each): each for each in held if isinstance(each, torch.nn.Module)}
    return list(found.values())


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One (model, input).

    Attributes:
        source: with one sample; its inputs bear the decorator's names, its outputs are those that torch computed.
        output_names: of the file: the decorator's, else those of the result's structure.
        device: where the model's first parameter is.
        inferred_batch: first extent of the first input that has one, else 1.
    """

    source: SourceModel
    output_names: tuple[str, ...]
    device: str
    inferred_batch: int

    @property
    def class_name(self) -> str:
        return self.source.class_name

    @property
    def module(self) -> torch.nn.Module:
        return self.source.module

    @property
    def inputs(self) -> Sample:
        return self.source.samples.inputs[0]

    @property
    def outputs(self) -> Sample:
        """What torch computed, under ``output_names``."""
        outputs = self.source.samples.outputs[0]
        assert outputs is not None, "made so"
        return dict(zip(self.output_names, outputs.values(), strict=True))

    @property
    def signature(self) -> Signature:
        return Signature(inputs=specs_of(self.inputs), outputs=specs_of(self.outputs))

    @property
    def identity(self) -> str:
        """What makes another model of a class: structure, weights, the signature with its names; 64 hex digits."""
        source = self.source
        text = f"{source.model_hash} {source.weights_hash} {self.signature.to_dict()}"
        return hashlib.sha256(text.encode()).hexdigest()


def subject_of(model: Any, input: Any, input_kwargs: Mapping[str, Any] | None, settings: LexerSettings) -> Subject:
    """Call the model once on its input, in evaluation mode and without gradients, and describe both.

    Raises:
        UsageError: nothing that can be called, an input without tensors, or another number of names than tensors.
        ModelError: the model fails on this input.
    """
    inner = unwrapped(model)
    if isinstance(inner, type) or not callable(inner):
        raise UsageError(
            f"a model is an object that can be called, not {'a class' if isinstance(inner, type) else 'this'}",
            evidence=repr(inner)[:200],
            remedy="context.benchmark(Net(), x)" if isinstance(inner, type) else "context.benchmark(model, x)",
        )
    module = inner if isinstance(inner, torch.nn.Module) else FunctionModule(inner)
    args, kwargs = _arguments(input, input_kwargs)
    names = list(parameter_names(inner if inner is module else _Function(inner)))
    ordered = {name: kwargs[name] for name in names if name in kwargs} | kwargs
    tensors, structure = flatten_call(args, ordered, names, is_tensor=is_tensor)
    if not tensors:
        raise UsageError(
            "the input holds no tensor",
            evidence=f"{type(input).__name__}: {input!r}"[:200],
            remedy="context.benchmark(model, torch.randn(1, 3, 224, 224))",
        )
    renames = _renames("input_names", tuple(tensors), settings.input_names)
    structure = _renamed(structure, renames)
    sample = {renames[name]: array_of(tensor) for name, tensor in tensors.items()}
    played = replay(module, structure, sample)
    class_name = type(inner).__name__ if inner is module else getattr(inner, "__name__", type(inner).__name__)
    if played.error or played.result is None:
        raise ModelError(
            f"{class_name} cannot be called with this input",
            evidence=f"{played.error}\ninput: {', '.join(f'{n} {list(a.shape)}' for n, a in sample.items())}",
            remedy="a tensor is the only argument, a tuple the positional ones, a mapping the keyword arguments",
        )
    output_names = tuple(_renames("output_names", tuple(played.result), settings.output_names).values())
    _refuse_shared(tuple(sample), output_names, settings)
    hashed = replay_hash(played)
    parameters = [weight for weight in module.parameters() if is_materialized(weight)]
    source = SourceModel(
        module=module,
        samples=SampleSet(structure=structure, inputs=(sample,), outputs=(played.result,)),
        class_name=class_name,
        model_hash=hashed.digest,
        hash_basis=hashed.basis,
        weights_hash=weights_hash(module),
        parameter_count=sum(weight.numel() for weight in parameters),
        parameter_bytes=sum(weight.numel() * weight.element_size() for weight in parameters),
        training_mode_seen=bool(module.training),
        data_dependent=bool(played.data_reads),
    )
    return Subject(
        source=source,
        output_names=output_names,
        device=str(parameters[0].device) if parameters else "cpu",
        inferred_batch=batch_size(sample),
    )


@dataclass(frozen=True, slots=True)
class _Function:
    """So that the parameters of a plain function are read like those of a module's ``forward``."""

    forward: Any


def _arguments(input: Any, input_kwargs: Mapping[str, Any] | None) -> tuple[tuple[Any, ...], dict[str, Any]]:
    further = dict(input_kwargs or {})
    if isinstance(input, Mapping):
        twice = sorted(set(input) & set(further))
        if twice:
            raise UsageError("a keyword argument is given twice", evidence=", ".join(map(str, twice)))
        return (), {**input, **further}
    if isinstance(input, (tuple, list)) and not hasattr(input, "_fields"):
        return tuple(input), further
    return (input,), further


def _renames(setting: str, derived: tuple[str, ...], given: Sequence[str] | None) -> dict[str, str]:
    """Derived names to the names that are used."""
    if given is None:
        return {name: name for name in derived}
    if len(given) != len(derived):
        side = setting.partition("_")[0]
        raise UsageError(
            f"{setting} has {len(given)} names, and the model has {len(derived)} {side}s",
            evidence=f"names: {', '.join(given) or 'none'}; {side}s: {', '.join(derived)}",
            remedy=f"give one name for each tensor, in the order of the call, or leave {setting} out",
        )
    return dict(zip(derived, given, strict=True))


def _refuse_shared(inputs: tuple[str, ...], outputs: tuple[str, ...], settings: LexerSettings) -> None:
    shared = sorted(set(inputs) & set(outputs))
    if shared and (settings.input_names or settings.output_names):
        raise UsageError(
            "an input and an output have the same name",
            evidence=", ".join(shared),
            remedy="ONNX files name every value once: give other input_names or output_names",
        )


def _renamed(structure: CallStructure, names: Mapping[str, str]) -> CallStructure:
    def walk(node: Any) -> Any:
        if isinstance(node, Leaf):
            return Leaf(names[node.name])
        if isinstance(node, KeyValueCache):
            return KeyValueCache(tuple(CacheLayer(walk(layer.key), walk(layer.value)) for layer in node.layers))
        if isinstance(node, dict):
            return {key: walk(value) for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(walk(item) for item in node)
        return node

    return replace(
        structure,
        args=tuple(walk(arg) for arg in structure.args),
        kwargs={key: walk(value) for key, value in structure.kwargs.items()},
    )
