"""Tensors as kernels see them: in which layout each lies, the conversions between layouts, and packed constants."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.kernels.claim import Claim, Derived, Operand, Packed, Stored
from turnkey.mlf.kernels.packing import pack, packing_kernel
from turnkey.mlf.node import describe
from turnkey.mlf.prepare import Prepared
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR, Tensor

if TYPE_CHECKING:
    import numpy as np


class PhysicalTensors:
    """The layouts of one graph's tensors while its steps are made, in the order in which they run.

    Attributes:
        tensors: every tensor as it lies in memory; converted and packed ones under names of their own.
        constants: those of the graph, and derived ones.
        packings, packed: as those of a `Program`.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.tensors: dict[str, Tensor] = dict(prepared.tensors)
        self.constants: dict[str, np.ndarray] = dict(prepared.constants)
        self.packings: list[Step] = []
        self.packed: dict[str, np.ndarray] = {}
        self._logical = prepared.tensors
        self._outputs = {value.name for value in prepared.model.graph.output}
        self._places: dict[str, dict[str, str]] = {}  # ONNX name -> layout -> name of the tensor that lies so
        self._packed_names: dict[Packed, str] = {}
        self._derived_names: dict[tuple[str, bytes], str] = {}

    def layout(self, name: str) -> str:
        """The layout in which a tensor is there; channel-last if in both."""
        return CHANNEL_LAST if CHANNEL_LAST in self._placed(name) else ROW_MAJOR

    def claimed_steps(self, claim: Claim) -> list[Step]:
        """The steps of a claim: the conversions that it needs, and its kernel."""
        made = claim.make({name: self.layout(name) for name in claim.reads})
        steps: list[Step] = []
        inputs = tuple(self._read(operand, steps) for operand in made.inputs)
        behind: list[Step] = []
        outputs = tuple(self._written(operand, behind) for operand in made.outputs)
        nodes = tuple(describe(node) for node in claim.nodes)
        return [*steps, Step(kernel=made.kernel, inputs=inputs, outputs=outputs, nodes=nodes), *behind]

    def row_major_steps(self, steps: Sequence[Step]) -> list[Step]:
        """Steps that know ONNX's layout only, behind the conversions that they need."""
        made: list[Step] = []
        for step in steps:
            inputs = tuple(self._read(Stored(name=name), made) for name in step.inputs)
            made.append(replace(step, inputs=inputs))
        return made

    def _placed(self, name: str) -> dict[str, str]:
        return self._places.setdefault(name, {ROW_MAJOR: name})

    def _read(self, operand: Operand, steps: list[Step]) -> str:
        """The tensor that a kernel reads; what makes it first is appended to ``steps``."""
        if isinstance(operand, Packed):
            return self._packed_name(operand)
        if isinstance(operand, Derived):
            return self._derived_name(operand)
        places = self._placed(operand.name)
        layout = self._told_apart(operand)
        if layout not in places:
            source = self.tensors[next(iter(places.values()))]
            places[layout] = self.new_name(f"{operand.name}.{layout}")
            self._add(operand.name, places[layout], layout)
            steps.append(self._conversion(source, self.tensors[places[layout]]))
        return places[layout]

    def _written(self, operand: Stored, behind: list[Step]) -> str:
        """The tensor that a kernel writes; an output of the graph is put into ONNX's layout behind it."""
        layout = self._told_apart(operand)
        if layout == ROW_MAJOR:
            return operand.name
        if operand.name not in self._outputs:
            self._places[operand.name] = {layout: operand.name}
            self._add(operand.name, operand.name, layout)
            return operand.name
        places = self._placed(operand.name)
        places[layout] = self.new_name(f"{operand.name}.{layout}")
        self._add(operand.name, places[layout], layout)
        behind.append(self._conversion(self.tensors[places[layout]], self.tensors[operand.name]))
        return places[layout]

    def _told_apart(self, operand: Stored) -> str:
        """Row-major where both layouts are the same bytes: one channel, or one place."""
        shape = self._logical[operand.name].shape
        same = len(shape) < 3 or shape[1] == 1 or math.prod(shape[2:]) == 1
        return ROW_MAJOR if same else operand.layout

    def _add(self, logical: str, name: str, layout: str) -> None:
        tensor = self._logical[logical]
        shape = tensor.shape
        if layout == CHANNEL_LAST:
            shape = (shape[0], *shape[2:], shape[1])
        self.tensors[name] = Tensor(name=name, dtype=tensor.dtype, shape=shape, layout=layout)

    def new_name(self, wanted: str) -> str:
        """That name, or one like it that no tensor has."""
        name, count = wanted, 0
        while name in self.tensors:
            count += 1
            name = f"{wanted}{count}"
        return name

    def _conversion(self, source: Tensor, target: Tensor) -> Step:
        to_last = target.layout == CHANNEL_LAST
        channels = (source.shape[1] if to_last else source.shape[-1]) or 1
        rows, columns = channels, math.prod(source.shape[1:]) // channels
        kernel = _transposing(source.dtype, source.shape[0], *((rows, columns) if to_last else (columns, rows)))
        return Step(
            kernel=kernel,
            inputs=(source.name,),
            outputs=(target.name,),
            nodes=(f"{target.layout}({source.name})",),
        )

    def _packed_name(self, operand: Packed) -> str:
        known = self._packed_names.get(operand)
        if known is not None:
            return known
        source = self._logical[operand.name]
        name = self._packed_names[operand] = self.new_name(f"{operand.name}.packed")
        self.packed[name] = pack(self.constants[operand.name], operand.axes)
        self.tensors[name] = Tensor(name=name, dtype=source.dtype, shape=self.packed[name].shape)
        self.packings.append(
            Step(
                kernel=packing_kernel(source, operand.axes),
                inputs=(operand.name,),
                outputs=(name,),
                nodes=(f"Pack({operand.name})",),
            )
        )
        return name

    def _derived_name(self, operand: Derived) -> str:
        key = (operand.name, operand.array.tobytes())
        if key not in self._derived_names:
            name = self._derived_names[key] = self.new_name(operand.name)
            self.constants[name] = operand.array
            self.tensors[name] = Tensor(name=name, dtype=operand.array.dtype.name, shape=operand.array.shape)
        return self._derived_names[key]


_TRANSPOSED = """\
for (idx_t n = 0; n < {batch}; ++n) {{
  const {c_type} *from = in0 + n * {size};
  {c_type} *to = out0 + n * {size};
  for (idx_t i = 0; i < {columns}; ++i)
    for (idx_t j = 0; j < {rows}; ++j) to[i * {rows} + j] = from[j * {columns} + i];
}}"""


def _transposing(dtype: str, batch: int, rows: int, columns: int) -> Kernel:
    """Matrices (rows, columns) to (columns, rows)."""
    c_type = dtypes.of_name(dtype).c_type
    return Kernel(
        operators=("layout",),
        inputs=(c_type,),
        outputs=(c_type,),
        statement=_TRANSPOSED.format(batch=batch, c_type=c_type, rows=rows, columns=columns, size=rows * columns),
        kind="layout",
        macs=0,
    )
