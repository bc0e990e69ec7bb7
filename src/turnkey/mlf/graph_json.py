"""The executor's graph, written for any graph executor of that schema; `graph_reader` reads it.

Five keys: ``nodes``, ``arg_nodes``, ``heads``, ``attrs``, ``node_row_ptr``. One entry per output of a node; entries
share memory by storage id, and one storage is as large as the largest entry that uses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.mlf import dtypes
from turnkey.mlf.program import Kernel, Program

VIEW = "__nop"
TENSORS, ORIGIN = "turnkey_tensors", "turnkey_nodes"
"""Further attributes of our calls, as texts: what the model calls their outputs, and its nodes that they compute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: an argument (``function`` None) or a call.

    Attributes:
        tensors: what the model calls its outputs; empty in graphs of others.
        origin: the model's nodes that it computes, as ``op(name)``; empty in graphs of others.
    """

    name: str
    function: str | None
    inputs: tuple[tuple[int, int], ...] = ()
    outputs: int = 1
    tensors: tuple[str, ...] = ()
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One output of a node."""

    node: int
    shape: tuple[int, ...]
    dtype: str
    storage: int

    @property
    def bytes(self) -> int:
        return dtypes.size_bytes(dtypes.of_name(self.dtype), self.shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A graph as the executor sees it.

    Attributes:
        heads: indices of entries that are outputs.
        first_entry: per node the index of its first entry.
    """

    nodes: tuple[Node, ...]
    entries: tuple[Entry, ...]
    heads: tuple[int, ...]
    first_entry: tuple[int, ...]

    def storages(self) -> list[dict[str, Any]]:
        """``memory.sids`` of the metadata: per storage id, in the order of first use, its true size."""
        found: dict[int, dict[str, Any]] = {}
        for entry in self.entries:
            known = found.get(entry.storage)
            if known is None:
                known = found[entry.storage] = {"storage_id": entry.storage, "size_bytes": 0}
                if self.nodes[entry.node].function is None:
                    known["input_binding"] = self.nodes[entry.node].name
            known["size_bytes"] = max(known["size_bytes"], entry.bytes)
        return list(found.values())

    def to_json(self) -> str:
        """The text of ``graph.json``."""
        nodes = []
        for node in self.nodes:
            fields: dict[str, Any] = {"op": "null" if node.function is None else "tvm_op", "name": node.name}
            if node.function is not None:
                fields["attrs"] = {
                    "func_name": node.function,
                    "num_inputs": str(len(node.inputs)),
                    "num_outputs": str(node.outputs),
                    "flatten_data": "0",
                    **({TENSORS: json.dumps(list(node.tensors), ensure_ascii=False)} if node.tensors else {}),
                    **({ORIGIN: node.origin} if node.origin else {}),
                }
            fields["inputs"] = [[index, output, 0] for index, output in node.inputs]
            nodes.append(fields)
        entries = self.entries
        content = {
            "nodes": nodes,
            "arg_nodes": [index for index, node in enumerate(self.nodes) if node.function is None],
            "heads": [[entries[h].node, h - self.first_entry[entries[h].node], 0] for h in self.heads],
            "attrs": {
                "shape": ["list_shape", [list(entry.shape) for entry in entries]],
                "dltype": ["list_str", [entry.dtype for entry in entries]],
                "storage_id": ["list_int", [entry.storage for entry in entries]],
                "device_index": ["list_int", [1] * len(entries)],
            },
            "node_row_ptr": [*self.first_entry, len(entries)],
        }
        # Not escaped to ASCII: the JSON reader of the original knows no \u escapes.
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def make_graph(program: Program, names: Mapping[Kernel, str]) -> Graph:
    """The graph of a program: every step a node, views sharing their source's storage."""
    nodes: list[Node] = []
    entries: list[Entry] = []
    first: list[int] = []
    of_tensor: dict[str, tuple[int, int]] = {}
    storages = _Storages(program)

    def add(node: Node, tensors: Sequence[str], share: str | None = None) -> None:
        first.append(len(entries))
        for index, name in enumerate(tensors):
            tensor = program.tensors[name]
            of_tensor[name] = (len(nodes), index)
            storage = storages.shared(name, share) if share else storages.take(name)
            entries.append(Entry(node=len(nodes), shape=tensor.shape, dtype=tensor.dtype, storage=storage))
        nodes.append(node)

    for name in (*program.inputs, *program.constants):
        add(Node(name=name, function=None), [name])
    used: dict[str, int] = {}
    for index, step in enumerate((*program.packings, *program.steps), start=-len(program.packings)):
        function = VIEW if step.view else names[step.kernel]
        label = names[step.kernel]
        used[label] = used.get(label, 0) + 1
        unique = label if used[label] == 1 else f"{label}_call{used[label] - 1}"
        add(
            Node(
                name=unique,
                function=function,
                inputs=tuple(of_tensor[name] for name in step.inputs),
                outputs=len(step.outputs),
                tensors=step.outputs,
                origin=" + ".join(step.nodes),
            ),
            step.outputs,
            share=step.inputs[0] if step.view else None,
        )
        if index >= 0:
            storages.release(index)
    heads = tuple(first[node] + output for node, output in (of_tensor[name] for name in program.outputs))
    return Graph(nodes=tuple(nodes), entries=tuple(entries), heads=heads, first_entry=tuple(first))


class _Storages:
    """Storage ids, each used again once every tensor in it is dead; arguments and outputs keep theirs."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._of: dict[str, int] = {}
        self._sizes: list[int] = []
        self._users: list[set[str]] = []
        self._free: set[int] = set()
        self._kept = {*program.inputs, *program.constants, *program.outputs}
        self._last: dict[str, int] = {}
        for index, step in enumerate(program.steps):
            for name in (*step.inputs, *step.outputs):
                self._last[name] = index

    def take(self, name: str) -> int:
        size = self._program.tensors[name].bytes
        fixed = name in self._program.inputs or name in self._program.constants
        fitting = sorted((self._sizes[i], i) for i in self._free if self._sizes[i] >= size)
        smaller = sorted((-self._sizes[i], i) for i in self._free if self._sizes[i] < size)
        if fixed or not (fitting or smaller):
            self._sizes.append(size)
            self._users.append(set())
            chosen = len(self._sizes) - 1
        else:
            chosen = (fitting or smaller)[0][1]
            self._free.discard(chosen)
            self._sizes[chosen] = max(self._sizes[chosen], size)
        return self._use(name, chosen)

    def shared(self, name: str, source: str) -> int:
        return self._use(name, self._of[source])

    def _use(self, name: str, storage: int) -> int:
        self._of[name] = storage
        self._users[storage].add(name)
        return storage

    def release(self, step: int) -> None:
        for storage, users in enumerate(self._users):
            if storage in self._free or any(name in self._kept for name in users):
                continue
            if all(self._last.get(name, -1) <= step for name in users):
                self._users[storage] = set()
                self._free.add(storage)
