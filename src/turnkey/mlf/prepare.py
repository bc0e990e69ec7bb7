"""Preparing an ONNX model: every dimension a number, constants folded, every tensor with a static shape.

The stages: fix dimensions, inline local functions, optimise (ONNX Runtime at its portable level, if it takes the
model), fold what depends on constants only, infer shapes. Each is a function of a model and returns a new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.errors import InputError
from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.folding import NO_TENSOR, fold
from turnkey.mlf.node import is_standard
from turnkey.mlf.tensor import Tensor, refuse_beyond_indices
from turnkey.mlf.weights import used_names, weights_apart, with_fixed_weights

if TYPE_CHECKING:
    import numpy as np
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A model ready for lowering.

    Attributes:
        model: nodes, inputs, outputs; its constants are in ``constants`` too.
        tensors: what is known of every tensor; constants included.
        constants: by name.
        unknown: tensors without a static shape, with the reason; only a lowering of the whole graph may go on then.
        notes: what a reader must know.
    """

    model: onnx.ModelProto
    tensors: Mapping[str, Tensor]
    constants: Mapping[str, np.ndarray]
    unknown: Mapping[str, str]
    notes: tuple[str, ...]


def prepare(model: onnx.ModelProto, *, optimize: str = "basic") -> Prepared:
    """Run all stages on a model whose dimensions are fixed (`fix_dimensions`).

    Args:
        optimize: ``basic`` or ``none``.

    Raises:
        InputError: neither ONNX Runtime nor the standard's own checker takes the model.
        UnsupportedInModelLibraryFormatError: inputs or outputs that are no tensors, or of a type that C lacks; a
            tensor of more values than the code can index.
    """
    import onnx
    import onnx.inliner

    refuse_non_tensors(model)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    notes: list[str] = []
    if optimize == "basic":
        model, note = _optimized(model)
        if note:
            _refuse_invalid(model)
            notes.append(note)
    return prepare_again(model, notes=tuple(notes))


def _refuse_invalid(model: onnx.ModelProto) -> None:
    """Refuse what breaks the standard; unknown operators are left to the lowering, which lists them all."""
    import onnx

    copy = with_fixed_weights(model)
    for value in copy.graph.output:  # that an output states no shape is no harm: it is inferred
        value.type.tensor_type.shape.SetInParent()
    try:
        onnx.checker.check_model(copy)
    except onnx.checker.ValidationError as error:
        if "No Op registered" in str(error):
            return
        raise InputError(
            "the ONNX model is not valid",
            evidence=" ".join(str(error).split())[:300],
            remedy="export the model again, with a newer exporter or another opset",
        ) from error


def prepare_again(model: onnx.ModelProto, *, notes: tuple[str, ...]) -> Prepared:
    """The later stages, for a model whose dimensions are fixed and whose nodes were changed. Raises as `prepare`."""
    apart, constants = weights_apart(model)
    for node in apart.graph.node:  # a sum of two is what kernels fuse
        if node.op_type == "Sum" and is_standard(node) and len(node.input) == 2:
            node.op_type = "Add"
    apart, constants, tensors, unknown = fold(apart, constants)
    present = used_names(apart) | {name for node in apart.graph.node for name in node.output}
    refuse_beyond_indices(tensor for name, tensor in tensors.items() if name in present)
    return Prepared(model=apart, tensors=tensors, constants=constants, unknown=unknown, notes=notes)


def refuse_non_tensors(model: onnx.ModelProto) -> None:
    """Sequences, optionals, maps and strings have no place in a plan made before the program runs."""
    for value in (*model.graph.input, *model.graph.output):
        kind = value.type.WhichOneof("value")
        if kind != "tensor_type":
            raise failure(
                "mlf-non-tensor",
                f"{value.name!r} is a {(kind or 'value without type').removesuffix('_type')}, not a tensor",
                evidence=f"input or output {value.name!r} of the graph",
                remedy="export a model whose inputs and outputs are tensors",
            )
        dtypes.of_onnx(value.type.tensor_type.elem_type, tensor=value.name)


def fix_dimensions(model: onnx.ModelProto, dims: Mapping[str, int]) -> onnx.ModelProto:
    """Give numbers to symbolic input dimensions.

    Raises:
        MlfUsageError: a name that no input has, or a negative number.
        NonStaticShapeError: one is left over.
    """
    import onnx

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    names = {dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim if dim.dim_param}
    wrong = [f"{name!r} that could be {number}" for name, number in dims.items() if name not in names or number < 0]
    if wrong:
        raise failure(
            "mlf-bad-option",
            f"no input has a dimension called {', nor '.join(wrong)}",
            evidence=f"symbolic dimensions: {', '.join(sorted(names)) or 'none'}",
            remedy="export-mlf --dim NAME=N with one of these names",
        )
    left = sorted(names - dims.keys())
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        if value.name in weights:
            continue
        if not value.type.tensor_type.HasField("shape"):
            raise _dynamic(value.name, "its shape", "")
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param in dims:
                dim.dim_value = dims[dim.dim_param]
            elif not dim.HasField("dim_value") or dim.dim_value < 0:  # some exporters write -1 for any
                raise _dynamic(value.name, f"axis {axis}", dim.dim_param, left)
    for value in (*fixed.graph.output, *fixed.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in dims:
                dim.dim_value = dims[dim.dim_param]
    if dims:  # shapes in the middle may have been computed for other numbers
        del fixed.graph.value_info[:]
    return fixed


def _dynamic(tensor: str, where: str, dimension: str, left: Sequence[str] = ()) -> Exception:
    """The error for a tensor whose shape is not known; ``left`` are all symbolic dimensions without a number."""
    numbers = " ".join(f"{name}=1" for name in left)
    evidence = f"tensor {tensor!r}, {where}" + (f" is {dimension!r}" if dimension else " has no number")
    if len(left) > 1:
        evidence += f"; dimensions without a number: {', '.join(left)}"
    return failure(
        "mlf-dynamic-shape",
        f"the shape of {tensor!r} is not known before the program runs",
        evidence=evidence,
        remedy=f"export-mlf --dim {numbers}" if dimension else "export the model with static shapes",
    )


def unknown_shape(prepared: Prepared) -> Exception:
    """The error for the first tensor whose shape inference could not tell."""
    name, reason = next(iter(prepared.unknown.items()))
    if reason.startswith(NO_TENSOR):
        return failure(
            "mlf-non-tensor",
            f"{name!r} is no tensor of numbers",
            evidence=f"{name!r} inside of the graph: {reason}",
            remedy="export a model that computes with tensors",
        )
    return _dynamic(name, reason, "")


def _optimized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """The model through ONNX Runtime's portable optimisations, or as it was with a note why."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = with_fixed_weights(model)
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-") as directory:
        options.optimized_model_filepath = str(Path(directory) / "optimized.onnx")
        try:
            if source.ByteSize() > 1 << 30:
                onnx.save(source, Path(directory) / "source.onnx", save_as_external_data=True, location="source.data")
                ort.InferenceSession(str(Path(directory) / "source.onnx"), options, providers=["CPUExecutionProvider"])
            else:
                ort.InferenceSession(source.SerializeToString(), options, providers=["CPUExecutionProvider"])
            better = onnx.load(options.optimized_model_filepath)
        except Exception as error:  # noqa: BLE001  (whatever ONNX Runtime refuses is lowered as it is, and said)
            return model, f"not optimised: ONNX Runtime refuses the model ({' '.join(str(error).split())[:160]})"
    kept = [value.name for value in better.graph.input] == [value.name for value in source.graph.input]
    foreign = sorted(
        {node.domain for node in better.graph.node} - {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    )
    if not kept or foreign:
        return model, f"not optimised: the result differs in its inputs or uses {', '.join(foreign) or 'other inputs'}"
    return better, ""
