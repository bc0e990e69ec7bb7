"""Reading the executor's graph without trusting it: every index, count and shape is checked, by node and rule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from turnkey.mlf import dtypes
from turnkey.mlf.archive import TOTAL_LIMIT_BYTES
from turnkey.mlf.failures import MlfError, failure
from turnkey.mlf.graph_json import ORIGIN, TENSORS, VIEW, Entry, Graph, Node


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
                raise reader.wrong(node.name, f"it reads output {output} of {nodes[source].name!r}")
    entries = reader.entries(fields, nodes, expected)
    heads = [reader.reference(item, "heads") for item in reader.array(fields.get("heads"), "heads")]
    for source, output in heads:
        if source >= len(nodes) or output >= nodes[source].outputs:
            raise reader.wrong("heads", f"there is no output {output} of node {source}")
    for index, node in enumerate(nodes):
        if node.function == VIEW:
            reader.check_view(node, entries[expected[index]], entries, expected)
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
            evidence=f"{self._path}: {repr(part)[1:-1]}: {rule}",  # names are a stranger's
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
        return Node(
            name=name,
            function=function,
            inputs=inputs,
            outputs=counts[1],
            tensors=self.tensors(attributes.get(TENSORS, "[]"), counts[1], name),
            origin=str(attributes.get(ORIGIN, "")),
        )

    def tensors(self, text: object, count: int, part: str) -> tuple[str, ...]:
        try:
            names = json.loads(str(text))
        except ValueError as error:
            raise self.wrong(part, f"{TENSORS} is not a list: {error}") from error
        if not isinstance(names, list) or len(names) not in (0, count) or not all(isinstance(n, str) for n in names):
            raise self.wrong(part, f"{TENSORS} does not name its {count} outputs")
        return tuple(names)

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
            entry = Entry(
                node=owner[index],
                shape=tuple(self.index(extent, part) for extent in self.array(shape, part)),
                dtype=str(dtype),
                storage=self.index(storage, part),
            )
            if entry.bytes > TOTAL_LIMIT_BYTES:
                raise self.wrong(part, f"{entry.bytes} bytes, at most {TOTAL_LIMIT_BYTES}")
            entries.append(entry)
        return entries

    def check_view(self, node: Node, own: Entry, entries: Sequence[Entry], first: Sequence[int]) -> None:
        source, output = node.inputs[0] if node.inputs else (0, 0)
        read = entries[first[source] + output]
        if len(node.inputs) != 1 or own.storage != read.storage or own.bytes != read.bytes:
            raise self.wrong(node.name, "a view must share the storage and the size of its one input")
