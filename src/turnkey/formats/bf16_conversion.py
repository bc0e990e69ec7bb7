"""Weights and activations of an ONNX file as bfloat16.

What is narrowed follows from the ONNX standard: an operator whose schema, in the file's opset, takes bfloat16 where
the file has float32 computes in it. Every other one stays in float32 between casts: ``Conv`` before opset 22,
``Range``, operators of other domains or with nested graphs; ``Cast`` too, since integers beyond 256 would lose their
last digits. Inputs and outputs keep their dtypes, since neither numpy nor the runtimes take bfloat16 at the border.

Names: a float32 value keeps its name, its bfloat16 form is called ``<name>_bf16``. So nested graphs, which read
values of the outer graph by name, need not be looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import onnx.inliner
from onnx import TensorProto

from turnkey.errors import ConversionError, InputError
from turnkey.formats.failure_text import one_line
from turnkey.formats.format import Conversion
from turnkey.formats.fp16_graph import write_constants_as_tensors
from turnkey.formats.onnx_bf16 import Bf16Settings
from turnkey.formats.onnx_file import load_graph, load_model, opset_of
from turnkey.formats.onnx_graph import graphs_in, names_read
from turnkey.formats.onnx_rewrite import write_rewritten

_NARROW = "tensor(bfloat16)"
_STAYS = frozenset({"Cast", "CastLike"})
_LARGEST = float(ml_dtypes.finfo(ml_dtypes.bfloat16).max)


def convert_to_bf16(parent: Path, path: Path, settings: Bf16Settings) -> Conversion:
    """Write the bfloat16 form of ``parent`` to ``path``.

    Raises:
        InputError: the parent is not a readable ONNX file.
        ConversionError: no operator of it has a bfloat16 form, or the result is not valid.
    """
    remedy = "name the operators to keep in float32: convert --to onnx-bf16 --set onnx-bf16.block::OP"
    # Types are inferred without external weights: inference serialises the model, which protobuf refuses beyond 2 GiB.
    try:
        types = _element_types(_inlined(load_graph(parent)))
        model = _inlined(load_model(parent))
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError) as error:
        raise ConversionError(
            f"{path.name} cannot be made: the types in {parent.name} are not known",
            evidence=one_line(error),
            remedy="export the model again, with another --opset",
        ) from error
    opset = opset_of(model)
    narrowing = _Narrowing(graph=model.graph, types=types, opset=opset, blocked=_STAYS | set(settings.block))
    narrowing.run()
    if not narrowing.narrowed:
        raise ConversionError(
            f"{parent.name} holds no operator with a bfloat16 form in opset {opset}",
            evidence=_told(narrowing.stayed) or "it computes no float32 values",
            remedy="export-pytorch --opset 22" if _later_opset(narrowing.stayed, opset) else "leave it as it is",
        )
    try:
        beyond = write_rewritten(model, path)
    except InputError as error:
        raise ConversionError(
            f"{path.name} cannot be made: the bfloat16 form is not a valid graph",
            evidence=one_line(error),
            remedy=remedy,
        ) from error
    return Conversion(
        path=path,
        exporter="turnkey-bfloat16",
        notes=(*_notes(narrowing, settings, opset), *beyond),
        facts={"opset": opset},
    )


@dataclass(slots=True, kw_only=True)
class _Narrowing:
    """The walk over a graph, which it changes in place.

    Attributes:
        types: element type of every tensor of the float32 graph.
        blocked: operator types that stay.
        narrowed, stayed: operators on float32 values by type, after `run`.
    """

    graph: onnx.GraphProto
    types: Mapping[str, int]
    opset: int
    blocked: Collection[str]
    narrowed: Counter[str] = field(default_factory=Counter)
    stayed: Counter[str] = field(default_factory=Counter)
    _nodes: list[onnx.NodeProto] = field(default_factory=list)
    _there: set[str] = field(default_factory=set)
    _weights: dict[str, TensorProto] = field(default_factory=dict)

    def run(self) -> None:
        """Narrow every node that can be, with casts where the two precisions meet."""
        write_constants_as_tensors(self.graph)
        _constants_as_weights(self.graph)
        self._weights = {tensor.name: tensor for tensor in self.graph.initializer}
        sparse = (tensor.values.name for tensor in self.graph.sparse_initializer)
        self._there = {*self._weights, *sparse, *(value.name for value in self.graph.input)}
        for node in self.graph.node:
            variables = self._narrow_variables(node)
            if variables:
                self.narrowed[node.op_type] += 1
                self._nodes.append(self._narrow(node, variables))
            else:
                self._keep(node)
        for value in self.graph.output:
            self._form(value.name, narrow=False)
        nodes = list(self._nodes)
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        self._drop_unused()

    def _narrow_variables(self, node: onnx.NodeProto) -> set[str]:
        """Type variables of the node's schema that become bfloat16; none where it stays as it is."""
        if node.domain not in ("", "ai.onnx") or node.op_type in self.blocked or list(graphs_in(node)):
            return set()
        if any(name and name not in self.types for name in node.output):  # a sequence, or not known
            return set()
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        variables = set()
        for position, name in enumerate(node.input):
            formal = schema.inputs[min(position, len(schema.inputs) - 1)]
            if not self._is_float(name) or formal.type_str == "tensor(float)":
                continue
            if _NARROW not in formal.types:
                return set()
            variables.add(formal.type_str)
        return variables

    def _narrow(self, node: onnx.NodeProto, variables: set[str]) -> onnx.NodeProto:
        schema = onnx.defs.get_schema(node.op_type, self.opset)
        copy = onnx.NodeProto.FromString(node.SerializeToString())
        for position, name in enumerate(node.input):
            if self._is_float(name):
                formal = schema.inputs[min(position, len(schema.inputs) - 1)]
                copy.input[position] = self._form(name, narrow=formal.type_str in variables)
        for position, name in enumerate(node.output):
            formal = schema.outputs[min(position, len(schema.outputs) - 1)]
            is_narrow = self._is_float(name) and formal.type_str in variables
            copy.output[position] = _narrow_name(name) if is_narrow else name
        self._there.update(copy.output)
        return copy

    def _keep(self, node: onnx.NodeProto) -> None:
        floats = [name for name in names_read(node) if self._is_float(name)]
        for name in sorted(floats):
            self._form(name, narrow=False)
        if floats and node.op_type not in _STAYS:
            self.stayed[node.op_type] += 1
        self._there.update(node.output)
        self._nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))

    def _form(self, name: str, *, narrow: bool) -> str:
        """Name of a value in one precision, which is there afterwards: a cast, or a weight converted here."""
        wanted = _narrow_name(name) if narrow else name
        if wanted not in self._there:
            if narrow and name in self._weights:
                self.graph.initializer.append(_narrow_weight(self._weights[name]))
            else:
                source, to = (name, TensorProto.BFLOAT16) if narrow else (_narrow_name(name), TensorProto.FLOAT)
                self._nodes.append(onnx.helper.make_node("Cast", [source], [wanted], to=to))
            self._there.add(wanted)
        return wanted

    def _drop_unused(self) -> None:
        """Float32 weights of which only the narrow form is read; and types that were those of the old graph."""
        used = {name for node in self.graph.node for name in names_read(node)}
        used |= {value.name for value in (*self.graph.output, *self.graph.input)}
        kept = [tensor for tensor in self.graph.initializer if tensor.name in used]
        del self.graph.initializer[:], self.graph.value_info[:]
        self.graph.initializer.extend(kept)

    def _is_float(self, name: str) -> bool:
        return bool(self.types.get(name) == TensorProto.FLOAT)


def _inlined(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.inliner.inline_local_functions(model) if model.functions else model


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=False).graph
    weights = (*graph.initializer, *(sparse.values for sparse in graph.sparse_initializer))
    types = {tensor.name: tensor.data_type for tensor in weights}
    for value in (*graph.input, *graph.value_info, *graph.output):
        if value.type.HasField("tensor_type"):
            types[value.name] = value.type.tensor_type.elem_type
    return types


def _constants_as_weights(graph: onnx.GraphProto) -> None:
    """``Constant`` nodes with a float32 tensor as initialisers, in place: those have a narrow form without a cast."""
    for position in reversed(range(len(graph.node))):
        node = graph.node[position]
        if node.op_type == "Constant" and node.attribute[0].t.data_type == TensorProto.FLOAT:
            tensor = node.attribute[0].t
            tensor.name = node.output[0]
            graph.initializer.append(tensor)
            del graph.node[position]


def _narrow_weight(tensor: TensorProto) -> TensorProto:
    """In bfloat16; finite values beyond it are clipped: a mask of float32's lowest number must not become infinite."""
    values = onnx.numpy_helper.to_array(tensor)
    clipped = np.where(np.isfinite(values), np.clip(values, -_LARGEST, _LARGEST), values)
    narrow = clipped.astype(ml_dtypes.bfloat16)
    return onnx.helper.make_tensor(
        _narrow_name(tensor.name), TensorProto.BFLOAT16, values.shape, narrow.tobytes(), raw=True
    )


def _narrow_name(name: str) -> str:
    return f"{name}_bf16"


def _notes(narrowing: _Narrowing, settings: Bf16Settings, opset: int) -> tuple[str, ...]:
    total = narrowing.narrowed.total() + narrowing.stayed.total()
    notes = [f"{narrowing.narrowed.total()} of {total} operators compute in bfloat16"]
    if narrowing.stayed:
        notes.append(f"in float32 stay: {_told(narrowing.stayed)}")
    if later := _later_opset(narrowing.stayed, opset):
        notes.append(f"opset {later} has further bfloat16 forms: export-pytorch --opset {later}")
    known = {*narrowing.narrowed, *narrowing.stayed}
    notes += [f"block {op}: the model has no such operator" for op in settings.block if op not in known]
    return tuple(notes)


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


def _later_opset(stayed: Collection[str], opset: int) -> int | None:
    """The opset that has a bfloat16 form of one of these operators, if the file's own has not."""
    versions = []
    for name in stayed:
        if onnx.defs.has(name):
            newest = onnx.defs.get_schema(name)
            if newest.since_version > opset and any(_NARROW in formal.types for formal in newest.inputs):
                versions.append(newest.since_version)
    return min(versions, default=None)
