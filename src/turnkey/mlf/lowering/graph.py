"""The walk over a prepared graph: each node becomes a step; what cannot is expanded, or lowered with the graph."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from turnkey.errors import TurnkeyError
from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.lowering import emx
from turnkey.mlf.lowering.empty import empty_reduction_step
from turnkey.mlf.lowering.emx_text import Call, Generated, take_apart
from turnkey.mlf.lowering.expansion import expand
from turnkey.mlf.lowering.program import Kernel, Program, Step
from turnkey.mlf.lowering.shifts import shift_step
from turnkey.mlf.lowering.views import byte_step, describe
from turnkey.mlf.prepare import Prepared, prepare_again, unknown_shape, with_constants
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_SMALL_BYTES = 1 << 10
_INPUT, _OUTPUT = "turnkey_in", "turnkey_out"
"""Names in models for the generator; loop variables of its own are called i0, o0 and the like."""
_EXPANSIONS = 6
_COMPILE_TIME: Mapping[str, tuple[int, ...]] = {
    **dict.fromkeys(("Reshape", "Expand", "Tile", "Squeeze", "Unsqueeze", "Split", "TopK", "Trilu"), (1,)),
    **dict.fromkeys(("OneHot", "CumSum", "CenterCropPad", "AffineGrid", "Upsample", "RotaryEmbedding"), (1,)),
    **dict.fromkeys(
        (f"Reduce{n}" for n in ["Sum", "Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare"]),
        (1,),
    ),
    **dict.fromkeys(("Slice",), (1, 2, 3, 4)),
    **dict.fromkeys(("Pad", "Resize", "NonMaxSuppression"), (1, 2, 3, 4)),
    **dict.fromkeys(("Range", "MelWeightMatrix"), (0, 1, 2, 3, 4)),
    **dict.fromkeys(("ConstantOfShape", "HannWindow", "HammingWindow", "BlackmanWindow", "EyeLike"), (0,)),
    **dict.fromkeys(("DFT", "Col2Im"), (1, 2)),
    "STFT": (1, 3),
    "Loop": (0, 1),
    "TensorScatter": (),
}
"""Inputs that decide about the code, not about values in it: constants there are given to the generator as such."""
_IN_PLACE = frozenset(
    [
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Tanh",
        "Erf",
        "Exp",
        "Log",
        "Sqrt",
        "Reciprocal",
        "Neg",
        "Abs",
        "Sign",
        "Floor",
        "Ceil",
        "Round",
        "Softplus",
        "Softsign",
        "Gelu",
        "Mish",
        "ThresholdedRelu",
        "Sin",
        "Cos",
        "Tan",
        "Clip",
        "PRelu",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Pow",
        "Swish",
        "Not",
    ]
)
"""Operators whose generated loop reads element i of the first input before it writes element i of the output."""


def _expands_first(node: onnx.NodeProto, prepared: Prepared) -> bool:
    """Nodes that the generator takes and gets wrong; each is shown by a case of docs/mlf-coverage.md."""
    if node.op_type == "Attention":
        tensor = prepared.tensors.get(node.input[0])
        # It ignores the count of valid keys, and rounds each step where the standard rounds the result.
        return (len(node.input) > 6 and bool(node.input[6])) or (tensor is not None and tensor.dtype == "float16")
    if node.op_type == "SpaceToDepth":
        return any(attribute.s == b"CRD" for attribute in node.attribute)  # it always takes the other mode
    if node.op_type in ("LinearAttention", "SwiGLU"):
        tensor = prepared.tensors.get(node.input[0])
        return tensor is not None and tensor.dtype == "float16"  # it rounds at other places than the standard
    return False


Template = Callable[["onnx.NodeProto", Mapping[str, Tensor], Mapping[str, "np.ndarray"]], Step | None]


def lower(prepared: Prepared, *, templates: tuple[Template, ...] = ()) -> Program:
    """Kernels and steps of a prepared model.

    Args:
        templates: kernels of ours, asked in order before the generator.

    Raises:
        UnsupportedInModelLibraryFormatError: a list of the nodes that no way could lower, with reasons.
        NonStaticShapeError: a tensor has no static shape.
    """
    current = prepared
    for _ in range(_EXPANSIONS):
        first = {tuple(node.output) for node in current.model.graph.node if _expands_first(node, current)}
        if not first:
            break
        current = _expanded(current, lambda node, first=first: tuple(node.output) in first)  # type: ignore[misc]
    refused: dict[str, str] = {}
    for _ in range(_EXPANSIONS):
        steps, failed = _walk(current, templates)
        if not failed:
            return _program(current, steps)
        refused = refused or {describe(node): reason for node, reason in failed}
        outputs = {tuple(node.output) for node, _reason in failed}
        expanded = _expanded(current, lambda node, outputs=outputs: tuple(node.output) in outputs)  # type: ignore[misc]
        if expanded is current:
            break
        current = expanded
    for candidate in (prepared, current):
        try:
            return _region(candidate)
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


def _walk(prepared: Prepared, templates: tuple[Template, ...]) -> tuple[list[Step], list[tuple[onnx.NodeProto, str]]]:
    steps: list[Step] = []
    failed: list[tuple[onnx.NodeProto, str]] = []
    for node in prepared.model.graph.node:
        missing = [name for name in (*node.input, *node.output) if name and name not in prepared.tensors]
        if missing:
            failed.append((node, f"the shape of {missing[0]!r} is unknown"))
            continue
        asked = (byte_step, shift_step, empty_reduction_step, *templates)
        step = next(
            (made for ask in asked if (made := ask(node, prepared.tensors, prepared.constants)) is not None), None
        )
        try:
            steps += [step] if step else _generated_steps(node, prepared)
        except (emx.Refused, TurnkeyError) as error:
            if getattr(error, "code", "") == "mlf-no-generator":
                raise
            failed.append((node, str(error)))
    return steps, failed


def _program(prepared: Prepared, steps: list[Step]) -> Program:
    """Steps with the tensors that they use; outputs that are inputs or constants get a copy of their own."""
    import onnx

    outputs = tuple(value.name for value in prepared.model.graph.output)
    inputs = tuple(value.name for value in prepared.model.graph.input)
    made = {name for step in steps for name in step.outputs}
    tensors = dict(prepared.tensors)
    for step in steps:
        for name in (*step.inputs, *step.outputs):
            if name not in tensors:
                raise failure("mlf-dynamic-shape", f"the shape of {name!r} is not known")
    constants = dict(prepared.constants)
    for name in outputs:
        if name not in made and name in constants:  # the caller's memory gets a copy of the constant
            kept = f"{name}.constant"
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
    read = {name for step in steps for name in step.inputs}
    used = read | made | set(inputs)
    return Program(
        tensors={name: tensor for name, tensor in tensors.items() if name in used},
        inputs=inputs,
        outputs=outputs,
        constants={name: array for name, array in constants.items() if name in read},
        steps=tuple(steps),
        notes=prepared.notes,
    )


def _expanded(prepared: Prepared, wanted: Callable[[onnx.NodeProto], bool]) -> Prepared:
    """The model with the wanted nodes replaced by what they stand for; the same object if nothing can be."""
    whole = with_constants(prepared.model, prepared.constants)
    changed = expand(whole, prepared.tensors, wanted)
    return prepared if changed is None else prepare_again(changed, notes=prepared.notes)


def _generated_steps(node: onnx.NodeProto, prepared: Prepared) -> list[Step]:
    """The node through the generator: first with compile-time constants only, then with every small constant."""
    first = {
        name
        for index, name in enumerate(node.input)
        if index in _COMPILE_TIME.get(node.op_type, ()) and _is_small(name, prepared.constants)
    }
    every = {name for name in node.input if _is_small(name, prepared.constants)}
    reason: Exception | None = None
    for embedded in dict.fromkeys((frozenset(first), frozenset(every))):
        try:
            model, names = _node_model(node, prepared, embedded)
            generated = _generate(model.SerializeToString(deterministic=True))
            return _steps(generated, names, prepared.tensors, node)
        except (emx.Refused, TurnkeyError) as error:
            reason = reason or error
    assert reason is not None  # the loop ran at least once and did not return
    raise reason


def _is_small(name: str, constants: Mapping[str, np.ndarray]) -> bool:
    return name in constants and constants[name].nbytes <= _SMALL_BYTES


@functools.lru_cache(maxsize=4096)
def _generate(serialized: bytes) -> Generated:
    """Equal nodes give equal models, so that their kernels are made once."""
    import onnx

    return take_apart(emx.generate(onnx.ModelProto.FromString(serialized)))


def _node_model(
    node: onnx.NodeProto, prepared: Prepared, embedded: frozenset[str]
) -> tuple[onnx.ModelProto, dict[str, str]]:
    """A model of one node with names by position, and those names to ours."""
    import onnx
    from onnx import numpy_helper

    names = {name: f"{_INPUT}{index}" for index, name in reversed(list(enumerate(node.input))) if name}
    names.update({name: f"{_OUTPUT}{index}" for index, name in enumerate(node.output) if name})
    if len(names) != len({*filter(None, node.input), *filter(None, node.output)}):
        raise emx.Refused("a tensor is input and output of the node")
    single = onnx.NodeProto()
    single.CopyFrom(node)
    single.name = single.doc_string = ""
    _rename(single, names)
    captured = sorted(used_names_of(node) - set(node.input))
    if captured:
        raise emx.Refused(f"its body reads {captured[0]!r} from outside")

    def info(name: str) -> onnx.ValueInfoProto:
        tensor = prepared.tensors[name]
        return onnx.helper.make_tensor_value_info(names[name], _onnx_number(tensor.dtype), list(tensor.shape))

    inputs = [name for name in dict.fromkeys(node.input) if name]
    graph = onnx.helper.make_graph(
        [single],
        "g",
        [info(name) for name in inputs if name not in embedded],
        [info(name) for name in node.output if name],
        [numpy_helper.from_array(prepared.constants[name], names[name]) for name in inputs if name in embedded],
    )
    model = onnx.helper.make_model(
        graph, opset_imports=prepared.model.opset_import, ir_version=max(4, prepared.model.ir_version)
    )
    return model, {ours: name for name, ours in names.items()}


def used_names_of(node: onnx.NodeProto) -> set[str]:
    """What a node reads, its bodies included, without what the bodies define themselves."""

    def free(graph: onnx.GraphProto) -> set[str]:
        defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        needed = {value.name for value in graph.output}
        for inner in graph.node:
            needed |= used_names_of(inner)
            defined |= set(inner.output)
        return needed - defined

    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names |= free(graph)
    return names


def _rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for side in (node.input, node.output):
        for index, name in enumerate(side):
            side[index] = names.get(name, name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                _rename(inner, names)
            for value in graph.output:
                value.name = names.get(value.name, value.name)


def _onnx_number(dtype: str) -> int:
    return dtypes.of_name(dtype).onnx


def _steps(
    generated: Generated, names: Mapping[str, str], tensors: Mapping[str, Tensor], node: onnx.NodeProto | None
) -> list[Step]:
    """The generated calls as steps; their temporaries must have become tensors before."""
    if node is not None and generated.temporaries:
        raise emx.Refused("it needs temporaries between its calls")
    written = {name for call in generated.calls for name in call.outputs}
    steps = [
        Step(
            kernel=_checked(call, names, tensors, node),
            inputs=tuple(names[name] for name in call.inputs),
            outputs=tuple(names[name] for name in call.outputs),
            nodes=(describe(node) if node is not None else call.kernel.operators[0],),
        )
        for call in generated.calls
    ]
    missing = [name for name in generated.parameters if name.startswith(_OUTPUT) and name not in written]
    if missing:
        raise emx.Refused(f"nothing writes its output {missing[0]}")
    return steps


def _checked(
    call: Call, names: Mapping[str, str], tensors: Mapping[str, Tensor], node: onnx.NodeProto | None
) -> Kernel:
    """The kernel with the C types of our tensors; they must be as wide as the generator's."""
    operator = node.op_type.lower() if node is not None else call.kernel.operators[0]
    c_types = []
    for arguments, found in ((call.inputs, call.kernel.inputs), (call.outputs, call.kernel.outputs)):
        expected = tuple(dtypes.of_name(tensors[names[name]].dtype).c_type for name in arguments)
        for ours, theirs in zip(expected, found, strict=True):
            if ours != theirs and not (theirs.startswith("emx_float") and ours == "uint8_t") and theirs != "_Bool":
                raise emx.Refused(f"the generated function takes {theirs} where the tensor is {ours}")
        c_types.append(expected)
    in_place = node is not None and node.op_type in _IN_PLACE and len(call.outputs) == 1
    return replace(
        call.kernel,
        operators=(re.sub(r"[^a-z0-9]", "", operator),),
        inputs=c_types[0],
        outputs=c_types[1],
        overwrites=0 if in_place else None,
    )


def _region(prepared: Prepared) -> Program:
    """The whole graph through the generator at once; its temporaries become tensors that our planner places."""
    import onnx

    whole = with_constants(prepared.model, prepared.constants, limit=_SMALL_BYTES)
    embedded = {tensor.name for tensor in whole.graph.initializer}
    names: dict[str, str] = {}
    for index, value in enumerate(whole.graph.input):
        names[value.name] = f"{_INPUT}{index}"
    for index, value in enumerate(whole.graph.output):
        if value.name in names or value.name in embedded:
            raise emx.Refused(f"the output {value.name!r} is an input or a constant")
        names[value.name] = f"{_OUTPUT}{index}"
    for index, name in enumerate(sorted(embedded)):
        names[name] = f"turnkey_w{index}"
    for index, name in enumerate(dict.fromkeys(o for node in whole.graph.node for o in node.output if o)):
        names.setdefault(name, f"turnkey_t{index}")
    renamed = onnx.ModelProto()
    renamed.CopyFrom(whole)
    for node in renamed.graph.node:
        node.name = node.doc_string = ""
        _rename(node, names)
    for group in (renamed.graph.input, renamed.graph.output, renamed.graph.initializer, renamed.graph.value_info):
        for value in group:
            value.name = names.get(value.name, value.name)
    generated = take_apart(emx.generate(renamed))
    known = dict(prepared.tensors)
    back = {ours: name for name, ours in names.items()}
    for name, temporary in generated.temporaries.items():
        known[name] = Tensor(name=name, dtype=temporary.dtype, shape=temporary.shape)
        back[name] = name
    steps = _steps(generated, back, known, None)
    digest = hashlib.sha256(whole.SerializeToString(deterministic=True)).hexdigest()[:8]
    note = f"lowered as one region ({digest}): node by node was not possible"
    return _program(replace(prepared, tensors=known, notes=(*prepared.notes, note)), steps)
