"""One node through the generator: a model of it alone, and the generated function as a step of ours."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from turnkey.errors import TurnkeyError
from turnkey.mlf import dtypes
from turnkey.mlf.lowering import emx
from turnkey.mlf.lowering.emx_text import Call, Generated, take_apart
from turnkey.mlf.lowering.macs import multiply_accumulates
from turnkey.mlf.node import describe, used_names_of
from turnkey.mlf.prepare import Prepared
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor
from turnkey.mlf.weights import SMALL_BYTES

if TYPE_CHECKING:
    import numpy as np
    import onnx

INPUT, OUTPUT = "turnkey_in", "turnkey_out"
"""Names in models for the generator; loop variables of its own are called i0, o0 and the like."""
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
    (
        *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Exp"),
        *("Log", "Sqrt", "Reciprocal", "Neg", "Abs", "Sign", "Floor", "Ceil", "Round", "Softplus", "Softsign"),
        *("Gelu", "Mish", "ThresholdedRelu", "Sin", "Cos", "Tan", "Clip", "PRelu", "Add", "Sub", "Mul", "Div"),
        *("Pow", "Swish", "Not"),
    )
)
"""Operators whose generated loop reads element i of the first input before it writes element i of the output."""


def generated_steps(node: onnx.NodeProto, prepared: Prepared) -> list[Step]:
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
            return steps_of(generated, names, prepared.tensors, node)
        except (emx.Refused, TurnkeyError) as error:
            reason = reason or error
    assert reason is not None  # the loop ran at least once and did not return
    raise reason


def _is_small(name: str, constants: Mapping[str, np.ndarray]) -> bool:
    return name in constants and constants[name].nbytes <= SMALL_BYTES


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

    names = {name: f"{INPUT}{index}" for index, name in reversed(list(enumerate(node.input))) if name}
    names.update({name: f"{OUTPUT}{index}" for index, name in enumerate(node.output) if name})
    if len(names) != len({*filter(None, node.input), *filter(None, node.output)}):
        raise emx.Refused("a tensor is input and output of the node")
    single = onnx.NodeProto()
    single.CopyFrom(node)
    single.name = single.doc_string = ""
    rename(single, names)
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


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    for side in (node.input, node.output):
        for index, name in enumerate(side):
            side[index] = names.get(name, name)
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                rename(inner, names)
            for value in graph.output:
                value.name = names.get(value.name, value.name)


def _onnx_number(dtype: str) -> int:
    return dtypes.of_name(dtype).onnx


def steps_of(
    generated: Generated, names: Mapping[str, str], tensors: Mapping[str, Tensor], node: onnx.NodeProto | None
) -> list[Step]:
    """The generated calls as steps; their temporaries must have become tensors before."""
    if node is not None and generated.temporaries:
        raise emx.Refused("it needs temporaries between its calls")
    written = {name for call in generated.calls for name in call.outputs}
    foreign = sorted({name for call in generated.calls for name in (*call.inputs, *call.outputs)} - names.keys())
    if foreign:
        raise emx.Refused(f"a call takes {foreign[0]}, which is no tensor of the graph")
    steps = [
        Step(
            kernel=_checked(call, names, tensors, node),
            inputs=tuple(names[name] for name in call.inputs),
            outputs=tuple(names[name] for name in call.outputs),
            nodes=(describe(node) if node is not None else call.kernel.operators[0],),
        )
        for call in generated.calls
    ]
    missing = [name for name in generated.parameters if name.startswith(OUTPUT) and name not in written]
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
        macs=multiply_accumulates(node, tensors) if node is not None else None,
    )
