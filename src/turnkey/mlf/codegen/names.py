"""Names of the C functions of one module."""

from __future__ import annotations

from turnkey.mlf import naming
from turnkey.mlf.program import Kernel, Program

_LONGEST = 4
"""Operators that a fused kernel's name spells out."""


def kernel_names(module: str, program: Program) -> dict[Kernel, str]:
    """``tvmgen_<m>_fused_<op>_<op>[_<k>]`` by kernel, in the order of first use; packings are ``.._pack_<k>``."""
    packings = dict.fromkeys(step.kernel for step in program.packings)
    names = {kernel: f"{naming.prefix(module)}_pack_{index}" for index, kernel in enumerate(packings)}
    taken: dict[str, int] = {}
    for kernel in program.kernels():
        if kernel in packings:
            continue
        base = f"{naming.prefix(module)}_fused_{'_'.join(kernel.operators[:_LONGEST])}"
        count = taken.get(base, 0)
        taken[base] = count + 1
        names[kernel] = f"{base}_{count}" if count else base
    return names
