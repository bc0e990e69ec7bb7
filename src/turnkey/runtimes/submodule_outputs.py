"""What the submodules of a live module return during one call, shown to whoever keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from turnkey.model.samples import Sample

if TYPE_CHECKING:
    import numpy as np
    import torch

    from turnkey.model.call import CallStructure


def watch_submodules(
    module: torch.nn.Module,
    structure: CallStructure | None,
    sample: Sample,
    wanted: Iterable[str],
    *,
    keep: Callable[[str, np.ndarray], None],
    drop: Callable[[str], None],
) -> bool:
    """Call the module once; False where it takes no hooks (a scripted one), or fails.

    Args:
        wanted: paths of submodules.
        keep: is given the output of each of them that returns one tensor, in the order in which they finish.
        drop: is told a path that was kept and is called again: which of its calls a value belongs to is not known.
    """
    import torch

    from turnkey.formats.torch_call import call_of, outputs_of
    from turnkey.model.torch_bridge import array_of

    seen: set[str] = set()
    kept: set[str] = set()

    def see(name: str, result: Any) -> None:
        if name in kept:
            kept.discard(name)
            drop(name)
        elif name not in seen and isinstance(result, torch.Tensor):
            kept.add(name)
            keep(name, array_of(result))
        seen.add(name)

    children = dict(module.named_modules())
    try:
        with ExitStack() as hooks:
            for name in wanted:
                handle = children[name].register_forward_hook(lambda _m, _a, result, name=name: see(name, result))
                hooks.callback(handle.remove)
            outputs_of(call_of(module, structure, sample), sample)
    except RuntimeError as error:  # scripted modules take no hooks
        print(f"submodules cannot be looked at: {error}")
        return False
    return True
