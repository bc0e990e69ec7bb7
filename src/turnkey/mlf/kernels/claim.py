"""What a template of ours claims of a graph, and what it gives for it: the interface between lowering and kernels.

A template is a function ``(node, graph) -> Claim | None``, listed in `turnkey.mlf.kernels.templates`. It is asked for
each node in the order of the graph, unless an earlier claim covers that node. It may claim the node alone, or with
nodes behind it whose intermediate results nobody else reads (`NodeGraph.sole_user`): a fused group.

Once all groups are known, each is made where its last node stands: `Claim.make` is told the layout that every tensor
in ``reads`` has by then, and answers with a `Made`. A kernel may ask for a tensor in another layout than it has; the
conversion becomes a step of its own, made once per tensor. So chains of channel-last kernels convert at their ends
only, and an element-wise kernel keeps whatever layout its inputs have.

What a template must keep to:

* Its C text compiles as gnu99 with vectors (`vectors.vectors`) and as strict C99 with ``TURNKEY_MLF_SCALAR``; the
  packing of weights does not depend on which of them.
* ``@`` in a kernel's ``code`` and ``statement`` stands for the prefix of its names. Sizes are numbers in the text, so
  that the compiler knows every trip count.
* A kernel reads and writes inside its operands and its scratch only, whole vectors included.
* Nothing is static but ``const``; there is no heap. Scratch is planned (``Kernel.scratch_bytes``) and holds garbage.
* Output 0 may share its bytes with the one input that ``Kernel.overwrites`` names; no pointer is ``restrict``
  unless that cannot happen. Other operands never overlap with an output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.node import describe, is_standard, used_names_of
from turnkey.mlf.prepare import Prepared
from turnkey.mlf.program import Kernel, Tile
from turnkey.mlf.tensor import ROW_MAJOR, Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An operand: a tensor of the graph (an input, a constant, a result) in that layout."""

    name: str
    layout: str = ROW_MAJOR


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """An operand: a constant of the graph, rearranged at export.

    Attributes:
        name: of the constant.
        axes: of the packed array, outermost first (see `packing`).
    """

    name: str
    axes: tuple[Axis, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """An operand: an array computed at export, which ``.params`` keeps as one more parameter.

    Attributes:
        name: wanted; made unique, and shared by equal arrays under one name.
    """

    name: str
    array: np.ndarray


Operand = Stored | Packed | Derived


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A kernel for a claim, and its operands in the order of its pointers. Outputs are `Stored`, one per result."""

    kernel: Kernel
    inputs: tuple[Operand, ...]
    outputs: tuple[Stored, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Nodes that one kernel computes.

    Attributes:
        nodes: the one that the template was asked for, and others behind it, beside it or in front of it.
        reads: tensors, not constants, that the kernel reads; those whose layout `make` wants to know.
        make: from the layout of each tensor in ``reads`` to the kernel.
    """

    nodes: tuple[onnx.NodeProto, ...]
    reads: tuple[str, ...]
    make: Callable[[Mapping[str, str]], Made]


class NodeGraph:
    """A prepared graph as templates look at it.

    Attributes:
        tensors: in ONNX layout, by name; constants included.
        constants: their values.
        opset: of the default domain.
        vector_bytes: no vector may be wider; 0 for none.
    """

    def __init__(self, prepared: Prepared, *, vector_bytes: int = 64, tiles: Mapping[str, Tile] | None = None) -> None:
        from turnkey.formats.onnx_file import opset_of  # with onnx: only where there is a model

        self.tensors: Mapping[str, Tensor] = prepared.tensors
        self.constants: Mapping[str, np.ndarray] = prepared.constants
        self.opset = opset_of(prepared.model)
        self.vector_bytes = vector_bytes
        self._tiles: Mapping[str, Tile] = tiles or {}
        self._nodes = list(prepared.model.graph.node)
        self._outputs = {value.name for value in prepared.model.graph.output}
        self._users: dict[str, list[int]] = {}
        self._producers: dict[str, int] = {}
        for index, node in enumerate(self._nodes):
            for name in used_names_of(node):
                self._users.setdefault(name, []).append(index)
            self._producers.update({name: index for name in node.output if name})
        self._claimed: set[int] = set()

    def sole_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads a tensor; None if it is an output of the graph, or read twice, or claimed.

        Nodes that are no template's are left out too (see `claims`).
        """
        users = self._users.get(name, [])
        if name in self._outputs or len(users) != 1 or users[0] in self._claimed:
            return None
        node = self._nodes[users[0]]
        return node if self._is_plain(node) else None

    def users(self, name: str) -> tuple[onnx.NodeProto, ...]:
        """All nodes that read a tensor."""
        return tuple(self._nodes[index] for index in self._users.get(name, []))

    def producer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a tensor; None for inputs and constants, and where a claim covers it.

        Nodes that are no template's are left out too (see `claims`).
        """
        index = self._producers.get(name)
        if index is None or index in self._claimed:
            return None
        node = self._nodes[index]
        return node if self._is_plain(node) else None

    def is_output(self, name: str) -> bool:
        return name in self._outputs

    def tile(self, node: onnx.NodeProto, choices: tuple[Tile, ...]) -> Tile:
        """The tile that was chosen for a node by measurement, if it is still a choice; else the first of them.

        A template that asks states both in its kernel: ``tile``, and the choices as ``tiles``.
        """
        wanted = self._tiles.get(describe(node))
        return wanted if wanted in choices else choices[0]

    def claims(self, templates: tuple[Template, ...]) -> dict[int, Claim | None]:
        """Per covered node, by its index: the claim at the last node of a group, None at the others.

        Nodes with an unknown shape, without a value, or from another domain than ONNX's are no template's.
        """
        found: dict[int, Claim | None] = {}
        index_of = {id(node): index for index, node in enumerate(self._nodes)}
        for index, node in enumerate(self._nodes):
            if index in self._claimed or not self._is_plain(node):
                continue
            claim = next((made for template in templates if (made := template(node, self)) is not None), None)
            if claim is None:
                continue
            covered = [index_of[id(member)] for member in claim.nodes]
            assert not self._claimed & {*covered}, "a template claims a node that is claimed"
            self._claimed |= {*covered}
            found.update(dict.fromkeys(covered))
            found[max(covered)] = claim
        return found

    def _is_plain(self, node: onnx.NodeProto) -> bool:
        names = [name for name in (*node.input, *node.output) if name]
        return is_standard(node) and all(name in self.tensors and self.tensors[name].bytes for name in names)


Template = Callable[["onnx.NodeProto", NodeGraph], Claim | None]
