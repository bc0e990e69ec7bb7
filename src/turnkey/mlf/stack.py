"""Worst-case stack of a module, from the frames that the compiler reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnkey.mlf.module_parts import ModuleParts

_LIBRARY_CALLS_BYTES = 256
"""Allowed for functions of the C library below ours, which the compiler cannot see."""


def worst_case_stack(frames: Mapping[str, int], part: ModuleParts) -> int | None:
    """Bytes from the entry point down: its own frames, the deepest kernel, its helpers; None if nothing is known.

    The entry calls one kernel at a time, and a kernel calls only functions of its own unit. Which helpers call which
    is not known, so that the largest two frames of helpers are added: an estimate from above, not a proof.
    """
    prefix = f"tvmgen_{part.name}"
    entry = sum(size for name, size in frames.items() if name in (f"{prefix}_run", f"{prefix}___tvm_main__"))
    kernels = [size for name, size in frames.items() if name.startswith(f"{prefix}_fused_")]
    helpers = sorted((size for name, size in frames.items() if not name.startswith(prefix)), reverse=True)[:2]
    if not frames:
        return None
    # A kernel's body may call one function of its own, whose frame is listed apart.
    deepest = sorted(kernels, reverse=True)[:2]
    return entry + sum(deepest) + sum(helpers) + _LIBRARY_CALLS_BYTES
