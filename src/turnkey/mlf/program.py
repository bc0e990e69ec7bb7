"""What lowering makes: tensors, kernels and the steps that call them, in an order that can run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np


Tile = tuple[tuple[str, int], ...]
"""Sizes of a kernel's tiles, by name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One C function, shared by all steps that need exactly it.

    Attributes:
        operators: ONNX operators in lower case, for its name: ``("conv", "relu")``.
        inputs, outputs: C types of its pointers, in order.
        helpers: C texts of functions and types that other kernels may share; kept once per unit, by text.
        code: C text of its own functions and tables; ``@`` stands for the prefix of its names.
        statement: C text that computes, in terms of ``in<i>``, ``out<i>`` and ``scratch``; ``@`` as above.
        includes: headers, beyond those of every unit.
        scratch_bytes: workspace that it needs while it runs.
        kind: ``generated``, or the name of a template.
        overwrites: index of the input whose bytes output 0 may take over, value by value; None if no input may.
        macs: multiply-accumulates of one call, where they are known.
        tile: the choice that it was made with; tiles: all that there are, the usual one first; none for no choice.
    """

    operators: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    helpers: tuple[str, ...] = ()
    code: str = ""
    statement: str
    includes: tuple[str, ...] = ()
    scratch_bytes: int = 0
    kind: str = "generated"
    overwrites: int | None = None
    macs: int | None = None
    tile: Tile = ()
    tiles: tuple[Tile, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call of a kernel.

    Attributes:
        view: the output is the input's bytes under another shape; nothing needs to be computed where they share.
        places: byte offsets at which the inputs lie in the output (a concatenation on the outermost axis) ...
        parts: ... or at which the outputs lie in the input (a split or slice on it); the kernel copies, and need not
            be called where the tensors really lie like that.
        nodes: ONNX nodes that it computes, as ``op(name)``.
    """

    kernel: Kernel
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    view: bool = False
    places: tuple[int, ...] = ()
    parts: tuple[int, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A lowered model.

    Attributes:
        tensors: every tensor by name, constants included.
        constants: weights by name, in graph order; only those that a step or a packing reads.
        steps: in an order in which every input exists.
        packings: steps that rearrange constants for kernels; a graph executor runs them first, the ahead-of-time
            entry never, since ``packed`` holds what they make.
    """

    tensors: Mapping[str, Tensor]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    constants: Mapping[str, np.ndarray]
    steps: tuple[Step, ...]
    packings: tuple[Step, ...] = ()
    packed: Mapping[str, np.ndarray] = field(default_factory=dict)
    notes: tuple[str, ...] = field(default=())

    @property
    def pool(self) -> dict[str, np.ndarray]:
        """Constants as the ahead-of-time entry reads them: those that steps read as they are, and the packed ones."""
        read = {name for step in self.steps for name in step.inputs}
        return {**{name: array for name, array in self.constants.items() if name in read}, **self.packed}

    def kernels(self) -> tuple[Kernel, ...]:
        """Each kernel once, in the order of first use in the executor's graph."""
        return tuple(dict.fromkeys(step.kernel for step in (*self.packings, *self.steps)))
