"""Names of the C functions of one module."""

from __future__ import annotations

from turnkey.mlf import naming
from turnkey.mlf.lowering.program import Kernel, Program

_LONGEST = 4
"""Operators that a fused kernel's name spells out."""


def kernel_names(module: str, program: Program) -> dict[Kernel, str]:
    """``tvmgen_<m>_fused_<op>_<op>[_<k>]`` by kernel, in the order of first use."""
    names: dict[Kernel, str] = {}
    taken: dict[str, int] = {}
    for kernel in program.kernels():
        base = f"{naming.prefix(module)}_fused_{'_'.join(kernel.operators[:_LONGEST])}"
        count = taken.get(base, 0)
        taken[base] = count + 1
        names[kernel] = f"{base}_{count}" if count else base
    return names
