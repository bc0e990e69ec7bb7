"""The executor's graph: written for any graph executor of that schema, read strictly.

Five keys: ``nodes``, ``arg_nodes``, ``heads``, ``attrs``, ``node_row_ptr``. One entry per output of a node; entries
share memory by storage id, and one storage is as large as the largest entry that uses it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.mlf import dtypes
from turnkey.mlf.failures import MlfError, failure
from turnkey.mlf.lowering.program import Kernel, Program

VIEW = "__nop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One node: an argument (``function`` None) or a call."""

    name: str
    function: str | None
    inputs: tuple[tuple[int, int], ...] = ()
    outputs: int = 1


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
        return json.dumps(content, indent=1) + "\n"


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
    for index, step in enumerate(program.steps):
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
            ),
            step.outputs,
            share=step.inputs[0] if step.view else None,
        )
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


def read_graph(content: object, *, path: str) -> Graph:
    """A graph from parsed JSON, every index checked.

    Raises:
        MlfArtifactError: naming the node and the rule that it breaks.
    """
    reader = _Reader(path)
    fields = reader.mapping(content, "the graph")
    nodes = [reader.node(item, index) for index, item in enumerate(reader.array(fields.get("nodes"), "nodes"))]
    pointers = [
        reader.index(item, "node_row_ptr") for item in reader.array(fields.get("node_row_ptr"), "node_row_ptr")
    ]
    expected = [0]
    for node in nodes:
        expected.append(expected[-1] + node.outputs)
    if pointers != expected:
        raise reader.wrong("node_row_ptr", f"{pointers[:8]}, expected {expected[:8]} from the nodes' outputs")
    arguments = [index for index, node in enumerate(nodes) if node.function is None]
    if sorted(reader.array(fields.get("arg_nodes"), "arg_nodes"), key=str) != sorted(arguments, key=str):
        raise reader.wrong("arg_nodes", "they are not the nodes of op null")
    for index, node in enumerate(nodes):
        for source, output in node.inputs:
            if source >= index:
                raise reader.wrong(node.name, f"it reads node {source}, which does not come before it")
            if output >= nodes[source].outputs:
                raise reader.wrong(node.name, f"it reads output {output} of {nodes[source].name}")
    entries = reader.entries(fields, nodes, expected)
    heads = [reader.reference(item, "heads") for item in reader.array(fields.get("heads"), "heads")]
    for source, output in heads:
        if source >= len(nodes) or output >= nodes[source].outputs:
            raise reader.wrong("heads", f"there is no output {output} of node {source}")
    for node in nodes:
        if node.function == VIEW:
            reader.check_view(node, nodes, entries, expected)
    return Graph(
        nodes=tuple(nodes),
        entries=tuple(entries),
        heads=tuple(expected[source] + output for source, output in heads),
        first_entry=tuple(expected[:-1]),
    )


class _Reader:
    """Checks of untrusted JSON, each naming the part that it is about."""

    def __init__(self, path: str) -> None:
        self._path = path

    def wrong(self, part: str, rule: str) -> MlfError:
        return failure(
            "mlf-bad-graph",
            "the executor's graph cannot be used",
            evidence=f"{self._path}: {part}: {rule}",
            remedy="export the model again, or fetch the tarball again",
        )

    def mapping(self, value: object, part: str) -> Mapping[str, Any]:
        if not isinstance(value, dict):
            raise self.wrong(part, "not an object")
        return value

    def array(self, value: object, part: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(part, "not a list")
        return value

    def index(self, value: object, part: str) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self.wrong(part, f"{value!r} is no index")
        return value

    def reference(self, value: object, part: str) -> tuple[int, int]:
        items = self.array(value, part)
        if len(items) not in (2, 3):
            raise self.wrong(part, f"{items!r} is no [node, index, version]")
        return self.index(items[0], part), self.index(items[1], part)

    def node(self, value: object, index: int) -> Node:
        fields = self.mapping(value, f"node {index}")
        name = fields.get("name")
        if not isinstance(name, str):
            raise self.wrong(f"node {index}", "it has no name")
        kind = fields.get("op")
        inputs = tuple(self.reference(item, name) for item in self.array(fields.get("inputs", []), name))
        if kind == "null":
            return Node(name=name, function=None, inputs=inputs)
        if kind != "tvm_op":
            raise self.wrong(name, f"op is {kind!r}, neither null nor tvm_op")
        attributes = self.mapping(fields.get("attrs", fields.get("attr")), name)
        try:
            counts = int(attributes["num_inputs"]), int(attributes["num_outputs"])
            function = attributes["func_name"]
        except (KeyError, TypeError, ValueError) as error:
            raise self.wrong(name, f"its attributes lack func_name, num_inputs or num_outputs ({error})") from error
        if counts[0] != len(inputs) or counts[1] < 1 or counts[1] > 10_000 or not isinstance(function, str):
            raise self.wrong(
                name, f"it states {counts[0]} inputs and {counts[1]} outputs, and has {len(inputs)} inputs"
            )
        return Node(name=name, function=function, inputs=inputs, outputs=counts[1])

    def entries(self, fields: Mapping[str, Any], nodes: Sequence[Node], first: Sequence[int]) -> list[Entry]:
        attributes = self.mapping(fields.get("attrs", fields.get("attr")), "attrs")
        columns = {}
        for key in ("shape", "dltype", "storage_id"):
            pair = self.array(attributes.get(key), f"attrs.{key}")
            if len(pair) != 2:
                raise self.wrong(f"attrs.{key}", "not a [kind, list]")
            columns[key] = self.array(pair[1], f"attrs.{key}")
            if len(columns[key]) != first[-1]:
                raise self.wrong(f"attrs.{key}", f"{len(columns[key])} values for {first[-1]} entries")
        owner = [index for index, node in enumerate(nodes) for _ in range(node.outputs)]
        entries = []
        for index, (shape, dtype, storage) in enumerate(zip(*columns.values(), strict=True)):
            part = nodes[owner[index]].name
            try:
                dtypes.of_name(str(dtype))
            except KeyError as error:
                raise self.wrong(part, f"unknown element type {dtype!r}") from error
            entries.append(
                Entry(
                    node=owner[index],
                    shape=tuple(self.index(extent, part) for extent in self.array(shape, part)),
                    dtype=str(dtype),
                    storage=self.index(storage, part),
                )
            )
        return entries

    def check_view(self, node: Node, nodes: Sequence[Node], entries: Sequence[Entry], first: Sequence[int]) -> None:
        source, output = node.inputs[0] if node.inputs else (0, 0)
        own = entries[first[nodes.index(node)]]
        read = entries[first[source] + output]
        if len(node.inputs) != 1 or own.storage != read.storage or own.bytes != read.bytes:
            raise self.wrong(node.name, "a view must share the storage and the size of its one input")
