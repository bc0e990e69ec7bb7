"""The walk over a prepared graph: each node becomes a step; what cannot is expanded, or lowered with the graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from turnkey.errors import TurnkeyError
from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.kernels.claim import NodeGraph, Template
from turnkey.mlf.lowering import emx
from turnkey.mlf.lowering.batch_normalization import has_known_statistics
from turnkey.mlf.lowering.empty import empty_reduction_step
from turnkey.mlf.lowering.expansion import expand
from turnkey.mlf.lowering.fourier import fourier_step
from turnkey.mlf.lowering.generated import generated_steps
from turnkey.mlf.lowering.half_softmax import half_softmax_step
from turnkey.mlf.lowering.physical import PhysicalTensors
from turnkey.mlf.lowering.region import region_steps
from turnkey.mlf.lowering.shifts import shift_step
from turnkey.mlf.lowering.views import byte_step
from turnkey.mlf.node import attribute, describe
from turnkey.mlf.prepare import Prepared, prepare_again, unknown_shape
from turnkey.mlf.program import Program, Step, Tile
from turnkey.mlf.tensor import Tensor, refuse_beyond_indices
from turnkey.mlf.weights import with_constants

if TYPE_CHECKING:
    import numpy as np
    import onnx

_EXPANSIONS = 6


def _expands_first(node: onnx.NodeProto, prepared: Prepared) -> bool:
    """Nodes that the generator takes and gets wrong; each is shown by a case of docs/mlf-coverage.md."""
    if node.op_type == "Attention":
        tensor = prepared.tensors.get(node.input[0])
        # It ignores the count of valid keys, and rounds each step where the standard rounds the result.
        return (len(node.input) > 6 and bool(node.input[6])) or (tensor is not None and tensor.dtype == "float16")
    if node.op_type == "SpaceToDepth":
        return bool(attribute(node, "mode") == b"CRD")  # it always takes the other mode
    if node.op_type == "ReduceLogSumExp":  # its sum of exponentials overflows
        tensor = prepared.tensors.get(node.input[0])
        return tensor is not None and tensor.dtype in ("float32", "float64") and bool(tensor.bytes)
    if node.op_type in ("LinearAttention", "SwiGLU"):
        tensor = prepared.tensors.get(node.input[0])
        return tensor is not None and tensor.dtype == "float16"  # it rounds at other places than the standard
    return False


def _fuses_expanded(node: onnx.NodeProto, prepared: Prepared) -> bool:
    """Nodes that templates of ours take over once they are expanded."""
    from turnkey.formats.onnx_file import opset_of  # with onnx: only where there is a model

    return has_known_statistics(node, prepared.tensors, prepared.constants, opset_of(prepared.model))


def lower(
    prepared: Prepared,
    *,
    templates: tuple[Template, ...] = (),
    vector_bytes: int = 64,
    tiles: Mapping[str, Tile] | None = None,
) -> Program:
    """Kernels and steps of a prepared model.

    Args:
        templates: kernels of ours, asked in order before the generator.
        vector_bytes: they use no wider vectors.
        tiles: of some nodes, as ``op(name)``, where measurement chose them.

    Raises:
        UnsupportedInModelLibraryFormatError: a list of the nodes that no way could lower, with reasons.
        NonStaticShapeError: a tensor has no static shape.
    """
    current = prepared
    for _ in range(_EXPANSIONS):
        first = {
            tuple(node.output)
            for node in current.model.graph.node
            if _expands_first(node, current) or (templates and _fuses_expanded(node, current))
        }
        if not first:
            break
        current = _expanded(current, lambda node, first=first: tuple(node.output) in first)  # type: ignore[misc]
    refused: dict[str, str] = {}
    for _ in range(_EXPANSIONS):
        steps, physical, failed = _walk(current, templates, vector_bytes, tiles or {})
        if not failed:
            return _program(current, steps, physical)
        refused = refused or {describe(node): reason for node, reason in failed}
        outputs = {tuple(node.output) for node, _reason in failed}
        expanded = _expanded(current, lambda node, outputs=outputs: tuple(node.output) in outputs)  # type: ignore[misc]
        if expanded is current:
            break
        current = expanded
    for candidate in (prepared, current):
        try:
            whole, steps = region_steps(candidate)
            return _program(whole, steps, PhysicalTensors(whole))
        except (emx.Refused, TurnkeyError) as error:
            reason = str(error)
    if current.unknown and all("shape" in text for text in refused.values()):
        raise unknown_shape(current)
    rare = {tensor.name: tensor.dtype for tensor in prepared.tensors.values() if dtypes.of_name(tensor.dtype).gcc}
    if rare:
        name, dtype = next(iter(rare.items()))
        raise failure(
            "mlf-unsupported-dtype",
            f"the generator has no kernels for {dtype}",
            evidence=f"tensor {name!r}; " + next(iter(refused.items()))[0],
            remedy="convert the model to float32 or int8",
        )
    raise failure(
        "mlf-unsupported-op",
        f"{len(refused)} nodes of the model cannot become C",
        evidence="\n".join((*(f"{node}: {text}" for node, text in list(refused.items())[:20]), f"whole: {reason}")),
        remedy="replace these operators, or export the model with another opset",
    )


class _Walked(NamedTuple):
    steps: list[Step]
    physical: PhysicalTensors
    failed: list[tuple[onnx.NodeProto, str]]


def _walk(
    prepared: Prepared, templates: tuple[Template, ...], vector_bytes: int, tiles: Mapping[str, Tile]
) -> _Walked:
    steps: list[Step] = []
    physical = PhysicalTensors(prepared)
    graph = NodeGraph(prepared, vector_bytes=vector_bytes, tiles=tiles)
    claims = graph.claims(templates)
    failed: list[tuple[onnx.NodeProto, str]] = []

    def half_softmax(
        node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]
    ) -> Step | None:
        return half_softmax_step(node, tensors, opset=graph.opset)

    for index, node in enumerate(prepared.model.graph.node):
        if index in claims:
            claim = claims[index]
            steps += physical.claimed_steps(claim) if claim is not None else []
            continue
        missing = [name for name in (*node.input, *node.output) if name and name not in prepared.tensors]
        if missing:
            failed.append((node, f"the shape of {missing[0]!r} is unknown"))
            continue
        asked = (byte_step, shift_step, empty_reduction_step, fourier_step, half_softmax)
        step = next(
            (made for ask in asked if (made := ask(node, prepared.tensors, prepared.constants)) is not None), None
        )
        try:
            steps += physical.row_major_steps([step] if step else generated_steps(node, prepared))
        except (emx.Refused, TurnkeyError) as error:
            if getattr(error, "code", "") == "mlf-no-generator":
                raise
            failed.append((node, str(error)))
    return _Walked(steps, physical, failed)


def _program(prepared: Prepared, steps: list[Step], physical: PhysicalTensors) -> Program:
    """Steps with the tensors that they use; outputs that are inputs or constants get a copy of their own."""
    import onnx

    outputs = tuple(value.name for value in prepared.model.graph.output)
    inputs = tuple(value.name for value in prepared.model.graph.input)
    made = {name for step in steps for name in step.outputs}
    tensors = dict(physical.tensors)
    for step in steps:
        for name in (*step.inputs, *step.outputs):
            if name not in tensors:
                raise failure("mlf-dynamic-shape", f"the shape of {name!r} is not known")
    constants = dict(physical.constants)
    for name in outputs:
        if name not in made and name in constants:  # the caller's memory gets a copy of the constant
            kept = physical.new_name(f"{name}.constant")
            constants[kept] = constants.pop(name)
            tensors[kept] = replace(tensors[name], name=kept)
            node = onnx.helper.make_node("Identity", [kept], [name])
            copied = byte_step(node, tensors, constants)
            assert copied is not None  # an identity is always a view
            steps = [*(replace(s, inputs=tuple(kept if n == name else n for n in s.inputs)) for s in steps), copied]
            made.add(name)
    lost = [name for name in outputs if name not in made]
    if lost:
        raise failure(
            "mlf-unsupported-op",
            f"the output {lost[0]!r} is an input or a constant of the graph",
            evidence="no node computes it",
            remedy="remove that output from the model",
        )
    read = {name for step in (*physical.packings, *steps) for name in step.inputs}
    used = read | made | set(inputs)
    present = {name: tensor for name, tensor in tensors.items() if name in used}
    refuse_beyond_indices(present.values())  # packed weights and temporaries of a region are among them now
    return Program(
        tensors=present,
        inputs=inputs,
        outputs=outputs,
        constants={name: array for name, array in constants.items() if name in read},
        steps=tuple(steps),
        packings=tuple(physical.packings),
        packed=physical.packed,
        notes=prepared.notes,
    )


def _expanded(prepared: Prepared, wanted: Callable[[onnx.NodeProto], bool]) -> Prepared:
    """The model with the wanted nodes replaced by what they stand for; the same object if nothing can be."""
    whole = with_constants(prepared.model, prepared.constants)
    changed = expand(whole, prepared.tensors, wanted)
    return prepared if changed is None else prepare_again(changed, notes=prepared.notes)
