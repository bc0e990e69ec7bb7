"""One more call of a model on a captured sample, written down: what it computes, step by step.

The call is made in evaluation mode and without gradients under a recorder (`turnkey.model.recorder`). Random state,
training flags, buffers and attributes of the module are as before afterwards. The recorder switches off torch's fast
paths; therefore this happens after the script, never inside the user's own calls.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from turnkey.model.call import CallStructure, flatten_result
from turnkey.model.canonical import SCRIPTED
from turnkey.model.module_state import put_back
from turnkey.model.recorder import Recorder, shape_and_dtype, tensors_in
from turnkey.model.samples import Sample
from turnkey.model.script_graph import describe_graph, is_scripted
from turnkey.model.torch_bridge import array_of, evaluation_mode, is_materialized, is_tensor, tensors_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What one replay wrote down.

    Attributes:
        inputs: ``[shape, dtype]`` per input, in the order of the call.
        weights: ``[shape, dtype]`` in order of first use.
        steps: public-API calls (`turnkey.model.recorder`).
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
    recorder = Recorder(tensors.values(), [*module.parameters(), *module.buffers()])
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
        inputs=[shape_and_dtype(tensor) for tensor in tensors.values()],
        weights=recorder.weights,
        steps=recorder.steps,
        tree=calls,
        outputs=[[recorder.refer(tensor), *shape_and_dtype(tensor)] for tensor in outputs.values()],
        result=None if error else {name: array_of(tensor) for name, tensor in outputs.items()},
        data_reads=tuple(sorted(recorder.data_reads)),
        error=error,
    )


@contextmanager
def _module_calls(recorder: Recorder, root: list[Any]) -> Iterator[None]:
    """The tree of module calls; a scripted module inside is one step, since the mode does not see into it."""
    original: Any = torch.nn.Module.__call__
    open_calls = [root]

    def called(self: Any, *args: Any, **kwargs: Any) -> Any:
        own = [*self._parameters.values(), *self._buffers.values()] if not is_scripted(self) else [*self.parameters()]
        inputs = tensors_in((args, kwargs))
        children: list[Any] = []
        shapes = [shape_and_dtype(tensor) for tensor in own if tensor is not None and is_materialized(tensor)]
        kind = getattr(self, "original_name", type(self).__name__)
        open_calls[-1].append([kind, shapes, [shape_and_dtype(tensor) for tensor in inputs], children])
        open_calls.append(children)
        try:
            if not is_scripted(self):
                return original(self, *args, **kwargs)
            arguments = recorder.encode([list(args), kwargs])
            result = original(self, *args, **kwargs)
            recorder.step(SCRIPTED, [describe_graph(self), arguments], tensors_in(result), tainted=True)
            return result
        finally:
            open_calls.pop()

    torch.nn.Module.__call__ = called
    try:
        yield
    finally:
        torch.nn.Module.__call__ = original


@contextmanager
def _eager() -> Iterator[None]:
    """Compiled functions inside the model run as they are written, so that the mode sees them."""
    if "torch._dynamo" not in sys.modules:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
