"""One way in which a module is called: what was recorded of it, and the winner that serves such calls.

A workspace keeps how the outputs are nested in ``inplace.json``, as torch writes it down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils import _pytree as pytree  # the walk that torch.compile and torch.export use themselves

from turnkey.model.call import flatten_call
from turnkey.model.torch_bridge import array_of, is_tensor, tensor_of
from turnkey.navigator.format import DeviceKind
from turnkey.navigator.inplace_settings import MOST_SAMPLES, inplace_config
from turnkey.navigator.package_result import Package
from turnkey.navigator.runner import NavigatorRunner
from turnkey.pipeline import durable

_RESULT = "inplace.json"


@dataclass(slots=True)
class RecordedCalls:
    """Calls that are nested in the same way, with tensors of the same dtypes and ranks.

    Attributes:
        samples: recorded calls, ``(args…, {keywords})`` with copies of the tensors.
        result: how the outputs are nested, as torch writes it down; empty until it was seen.
        batches: batch sizes that were said when recording.
        runner: the active winner; None while recording or eager.
    """

    samples: list[tuple[Any, ...]] = field(default_factory=list)
    result: str = ""
    batches: set[int] = field(default_factory=set)
    runner: NavigatorRunner | None = None

    def record(self, args: Sequence[Any], kwargs: Mapping[str, Any], result: Any, *, batch: int | None) -> None:
        """Keep a call, unless there are enough of them, and how its result is nested."""
        if batch is not None:
            self.batches.add(batch)
        if len(self.samples) < MOST_SAMPLES:
            copied = pytree.tree_map(lambda leaf: leaf.detach().clone() if is_tensor(leaf) else leaf, (args, kwargs))
            self.samples.append((*copied[0], dict(copied[1])))
        if not self.result:
            leaves, spec = pytree.tree_flatten(result)
            if all(is_tensor(leaf) for leaf in leaves):
                self.result = pytree.treespec_dumps(spec)

    def serve(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """One call of the winner: tensors in and out, on the device of the inputs."""
        assert self.runner is not None, "the caller looked"
        tensors, _ = flatten_call(tuple(args), dict(kwargs), (), is_tensor=is_tensor)
        names = [spec.name for spec in self.runner.input_metadata]
        values = list(tensors.values())
        device = next((str(value.device) for value in values if isinstance(value, torch.Tensor)), "cpu")
        feed = dict(zip(names, (array_of(value) for value in values), strict=True))
        outputs = [tensor_of(array, device) for array in self.runner.infer(feed).values()]
        return pytree.tree_unflatten(outputs, pytree.treespec_loads(self.result))

    def activate(self, package: Package, device: DeviceKind | str | None = None) -> None:
        """Make the winner of a package ready; none where the module itself won, which needs no runner."""
        strategies = inplace_config.strategies or None
        best = package.get_best_runtime(strategies=strategies)
        runner = None
        if not (best.model_status.model_config.format.is_source and best.runner_name == "TorchCPU"):
            runner = package.get_runner(strategies=strategies, device=device)
            runner.activate()
        self.runner = runner

    def deactivate(self) -> None:
        """Let the winner go, if there is one."""
        if self.runner is not None:
            self.runner.deactivate()
            self.runner = None

    def write(self, workspace: Path) -> None:
        """Keep beside the package what is needed to serve it."""
        durable.write_text(workspace / _RESULT, json.dumps({"result": self.result}))

    def read(self, workspace: Path) -> None:
        """Take up what `write` kept."""
        self.result = json.loads((workspace / _RESULT).read_text(encoding="utf-8"))["result"]


def stored_workspaces(directory: Path) -> list[Path]:
    """Workspaces of the structures of one module; each is named after the key of its structure."""
    return sorted(path.parent for path in directory.glob(f"*/{_RESULT}"))


def structure_key(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """12 hex digits of how a call is nested, with dtypes and ranks of its tensors."""
    tensors, structure = flatten_call(tuple(args), dict(kwargs), (), is_tensor=is_tensor)
    layout = [[name, str(tensor.dtype), tensor.ndim] for name, tensor in tensors.items()]
    nested = structure.to_dict() if structure.is_portable else repr(structure.names)
    return hashlib.sha256(json.dumps([nested, layout], sort_keys=True).encode()).hexdigest()[:12]
