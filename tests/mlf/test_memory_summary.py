"""``memory`` of the metadata, recomputed from ONNX types and lives alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import models
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import turnkey.mlf as mlf
from turnkey.mlf.graph_json import VIEW, Graph
from turnkey.mlf.module_parts import ModuleParts, make_parts

pytestmark = pytest.mark.needs("emx_onnx_cgen")

OPERATORS = st.sampled_from(["Relu", "Tanh", "Add", "Mul", "Concat", "Reshape"])


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    """A random graph over float vectors of different lengths; every tensor that nothing reads is an output."""
    lengths = {"x": 4, "z": 8}
    lines: list[str] = []
    read: set[str] = set()
    for index in range(draw(st.integers(1, 9))):
        name, operator = f"t{index}", draw(OPERATORS)
        first = draw(st.sampled_from(sorted(lengths)))
        same = [other for other, length in sorted(lengths.items()) if length == lengths[first]]
        second = draw(st.sampled_from(same))
        read.add(first)
        if operator in ("Add", "Mul"):
            read.add(second)
            lines.append(f"{name} = {operator}({first}, {second})")
            lengths[name] = lengths[first]
        elif operator == "Concat":
            read.add(second)
            lines.append(f"{name} = Concat<axis=0>({first}, {second})")
            lengths[name] = 2 * lengths[first]
        elif operator == "Reshape":
            lines.append(f"{name} = Flatten<axis=0>({first})\n  {name}_back = Squeeze({name}, zero)")
            lengths[f"{name}_back"] = lengths[first]
        else:
            lines.append(f"{name} = {operator}({first})")
            lengths[name] = lengths[first]
    outputs = [name for name in lengths if name not in read and name not in "xz"]
    declared = ", ".join(f"float[{lengths[name]}] {name}" for name in outputs)
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 17]> g (float[4] x, float[8] z) => ({declared})'
        f" <int64[1] zero = {{0}}> {{\n  " + "\n  ".join(lines) + "\n}"
    )


@given(graphs())
@settings(deadline=None, max_examples=25)
def test_the_summary_is_what_types_and_lives_say(model: onnx.ModelProto) -> None:
    part = make_parts(model, model_name="g", options=mlf.ExportOptions(optimize="none"))
    summary = part.memory("full-model")
    (main,) = summary["functions"]["main"]
    values = [*model.graph.input, *model.graph.output]
    sizes = {v.name: 4 * math.prod(d.dim_value for d in v.type.tensor_type.shape.dim) for v in values}
    assert main["io_size_bytes"] == sum(sizes.values())
    assert {name: entry["size"] for name, entry in (main["inputs"] | main["outputs"]).items()} == sizes
    assert main["workspace_size_bytes"] == part.layout.plan.workspace
    assert part.graph is not None
    _check_storages(part.graph, summary["sids"])
    _check_lives(part)


def _check_storages(graph: Graph, sids: list[dict[str, Any]]) -> None:
    """Each storage as large as its largest entry, and never read after another entry was written into it."""
    largest: dict[int, int] = {}
    for entry in graph.entries:
        largest[entry.storage] = max(largest.get(entry.storage, 0), entry.bytes)
    assert {item["storage_id"]: item["size_bytes"] for item in sids} == largest
    holder: dict[int, int] = {}  # storage -> entry whose bytes it holds
    origin: dict[int, int] = {}  # entry -> the entry whose bytes it shows
    for index, node in enumerate(graph.nodes):
        for source, output in node.inputs:
            read = origin[graph.first_entry[source] + output]
            assert holder[graph.entries[read].storage] == read
        for output in range(node.outputs):
            made = graph.first_entry[index] + output
            if node.function == VIEW:
                source, position = node.inputs[0]
                origin[made] = origin[graph.first_entry[source] + position]
            else:
                origin[made] = made
                holder[graph.entries[made].storage] = made
    for head in graph.heads:
        assert holder[graph.entries[head].storage] == origin[head]


def _check_lives(part: ModuleParts) -> None:
    """A run over the layout in bytes: every called step reads what was written for it."""
    memory: dict[tuple[str, int], str] = {}
    program, layout = part.program, part.layout
    aliases = _aliases(part)

    def cells(name: str) -> list[tuple[str, int]]:
        place = layout.places[name]
        if place.root in layout.plan.offsets:
            start = layout.plan.offsets[place.root] + place.offset
            return [("workspace", start + i) for i in range(program.tensors[name].bytes)]
        return [(place.root, place.offset + i) for i in range(program.tensors[name].bytes)]

    for name in program.inputs:
        memory.update({cell: f"{name}:{i}" for i, cell in enumerate(cells(name))})
    for name in program.constants:
        memory.update({cell: f"{name}:{i}" for i, cell in enumerate(cells(name))})
    for index in layout.called:
        step = program.steps[index]
        for name in step.inputs:
            assert [memory.get(cell) for cell in cells(name)] == aliases[name]
        for name in step.outputs:
            memory.update(dict(zip(cells(name), aliases[name], strict=True)))
    for name in program.outputs:
        assert [memory.get(cell) for cell in cells(name)] == aliases[name]


def _aliases(part: ModuleParts) -> dict[str, list[str]]:
    """What each byte of each tensor is called, views and concatenations being their sources' bytes."""
    program = part.program
    named = {
        name: [f"{name}:{i}" for i in range(program.tensors[name].bytes)]
        for name in (*program.inputs, *program.constants)
    }
    for step in program.steps:
        if step.view or step.places:
            named[step.outputs[0]] = [byte for name in step.inputs for byte in named[name]]
        else:
            for name in step.outputs:
                named[name] = [f"{name}:{i}" for i in range(program.tensors[name].bytes)]
    return named


def test_the_known_numbers_of_the_original_hold(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    oracle (uint8[1,2] a, float[1,2] b) => (float[1,2] y)
    <float[1,2] c>
    {
      k = Cast<to=1>(a)
      m = Mul(b, c)
      y = Add(k, m)
    }
    """
    mlf.export(models.model_of(text), tmp_path / "o.tar", name="o", compile=False, optimize="none")
    memory = mlf.load(tmp_path / "o.tar").module().memory
    bindings = {item.get("input_binding"): item["size_bytes"] for item in memory["sids"]}
    assert (bindings["a"], bindings["b"], bindings["c"]) == (2, 8, 8)
    (main,) = memory["functions"]["main"]
    assert (main["io_size_bytes"], main["constants_size_bytes"]) == (18, 8)
