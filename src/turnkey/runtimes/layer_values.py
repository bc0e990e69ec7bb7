"""Values inside the source model, kept on disk: one file each, read when it is asked for.

Activations of a large model are larger than its weights. Nothing here holds more than one of them in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.model.samples import Sample

if TYPE_CHECKING:
    import torch

    from turnkey.formats.onnx_segment import WeightlessModel

_PARTS = 4
_AT_ONCE = 32
"""Values of a file that one run gives out: bounds what it holds at a time."""


class ValueStore(Mapping[str, np.ndarray]):
    """Arrays by name, in the order in which they were put, mapped from files of a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._paths: dict[str, Path] = {}
        self._count = 0  # of all values that were ever put: a file name is never used twice

    def put(self, name: str, array: np.ndarray) -> None:
        """Write one value; types that numpy lacks become float32."""
        path = self._directory / f"{self._count}.npy"
        self._count += 1
        plain = array if array.dtype.isbuiltin == 1 else array.astype(np.float32)
        np.save(path, plain)
        self._paths[name] = path

    def drop(self, name: str) -> None:
        """Forget one value and remove its file."""
        self._paths.pop(name).unlink()

    def __getitem__(self, name: str) -> np.ndarray:
        array: np.ndarray = np.load(self._paths[name], mmap_mode="r")
        return array

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def keep_file_values(whole: WeightlessModel, sample: Sample, wanted: Sequence[str], store: ValueStore) -> None:
    """Put values inside a file, computed part by part from those that are there already."""
    from turnkey.runtimes.segment import run_part

    for start in range(0, len(wanted), _AT_ONCE):
        names = [name for name in wanted[start : start + _AT_ONCE] if name not in store]
        for name, array in run_part(whole, outputs=names, given=store, sample=sample).items():
            store.put(name, array)


def outputs_in_parts(whole: WeightlessModel, sample: Sample, store: ValueStore) -> Sample:
    """The outputs of a file, run in a few parts one after another, so that the weights of one are there at a time.

    What one part hands to the next goes through ``store``.
    """
    from turnkey.formats.onnx_graph import names_read
    from turnkey.runtimes.segment import run_part

    nodes = whole.model.graph.node
    for part in range(1, _PARTS):
        end = len(nodes) * part // _PARTS
        made = {value for node in nodes[:end] for value in node.output if value}
        read_later = {name for node in nodes[end:] for name in names_read(node)} | set(whole.output_names)
        wanted = sorted((made & read_later) - set(store))
        for name, array in run_part(whole, outputs=wanted, given=store, sample=sample).items() if wanted else ():
            store.put(name, array)
    outputs = {name: np.asarray(store[name]) for name in whole.output_names if name in store}
    left = [name for name in whole.output_names if name not in outputs]
    outputs |= run_part(whole, outputs=left, given=store, sample=sample) if left else {}
    return {name: outputs[name] for name in whole.output_names}


@contextmanager
def tensors_made_in(module: torch.nn.Module, see: Any) -> Iterator[None]:
    """While inside, every tensor that an operator makes during a call of ``module`` is shown to ``see``."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Watch(TorchDispatchMode):  # type: ignore[misc]  # torch is not followed
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, (tuple, list)) else (result,):
                if isinstance(tensor, torch.Tensor):
                    see(tensor)
            return result

    with ExitStack() as watches:

        def enter(_module: Any, _args: Any) -> None:
            watches.enter_context(Watch())

        def leave(_module: Any, _args: Any, _result: Any) -> None:
            watches.pop_all().close()

        before, after = module.register_forward_pre_hook(enter), module.register_forward_hook(leave)
        try:
            yield
        finally:
            before.remove()
            after.remove()
