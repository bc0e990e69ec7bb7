"""A captured call of a module as a module of its own that takes tensors by position and returns a flat tuple.

Exporters disagree about keyword arguments, dictionaries, None and result objects. They agree about positional
tensors: `PositionalCall` is what both are given, so that names and order of the file are those of the sample.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import torch

from turnkey.model.call import CallStructure, Opaque, flatten_result
from turnkey.model.samples import Sample
from turnkey.model.torch_bridge import array_of, evaluation_mode, is_tensor, tensor_of


class PositionalCall(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """One call of a module: tensors in, flat tuple of tensors out.

    An output that is an input, or that occurred before, becomes a copy: graph formats name values, and one value
    cannot have two names. Objects that the call keeps by reference (caches) are copied before each call, since
    models write into them.

    Attributes:
        structure: how the tensors become arguments; None passes them on by position.
        input_names: names of the tensors in the order of ``forward``.
    """

    def __init__(self, module: torch.nn.Module, structure: CallStructure | None, input_names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.structure = structure
        self.input_names = input_names
        self.training = False  # this wrapper's own flag; those of the module are the caller's business

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.named_outputs(*tensors).values())

    def named_outputs(self, *tensors: torch.Tensor) -> dict[str, torch.Tensor]:
        """The outputs under the names of `flatten_result`."""
        args, kwargs = self._arguments(tensors)
        named = flatten_result(self.module(*args, **kwargs), is_tensor=is_tensor)
        seen = {id(tensor) for tensor in tensors}
        for name, tensor in named.items():
            if id(tensor) in seen:
                named[name] = tensor.clone()
            seen.add(id(tensor))
        return named

    def _arguments(self, tensors: tuple[torch.Tensor, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.structure is None:
            return tensors, {}
        structure = CallStructure(
            args=tuple(_fresh(arg) for arg in self.structure.args),
            kwargs={key: _fresh(value) for key, value in self.structure.kwargs.items()},
        )
        return structure.bind(dict(zip(self.input_names, tensors, strict=True)))


def call_of(module: torch.nn.Module, structure: CallStructure | None, sample: Sample) -> PositionalCall:
    """The call that produced a sample; its inputs are in the order of the call."""
    names = structure.names if structure is not None else tuple(sample)
    return PositionalCall(getattr(module, "_orig_mod", module), structure, tuple(dict.fromkeys(names)))


def tensors_for(call: PositionalCall, sample: Sample) -> tuple[torch.Tensor, ...]:
    """The sample's tensors in the order of the call, on the module's device."""
    weight = next(chain(call.module.parameters(), call.module.buffers()), None)
    device = str(weight.device) if weight is not None else "cpu"
    return tuple(tensor_of(sample[name], device) for name in call.input_names)


def outputs_of(call: PositionalCall, sample: Sample) -> Sample:
    """One run in evaluation mode, without gradients."""
    with evaluation_mode(call.module):
        named = call.named_outputs(*tensors_for(call, sample))
    return {name: array_of(tensor) for name, tensor in named.items()}


def opaque_arguments(structure: CallStructure | None) -> tuple[str, ...]:
    """Types of the arguments that are kept by reference, and so become constants of an exported file."""
    if structure is None:
        return ()
    found: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, Opaque):
            found.append(type(node.value).__name__)
        elif isinstance(node, dict):
            for value in node.values():
                walk(value)
        elif isinstance(node, (list, tuple)):
            for value in node:
                walk(value)

    walk(structure.args)
    walk(dict(structure.kwargs))
    return tuple(found)


def _fresh(node: Any) -> Any:
    """The node with its opaque objects copied."""
    if isinstance(node, Opaque):
        return Opaque(copy.deepcopy(node.value))
    if isinstance(node, dict):
        return {key: _fresh(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_fresh(value) for value in node)
    return node
