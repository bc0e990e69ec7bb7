"""Preparing an ONNX model: every dimension a number, constants folded, every tensor with a static shape.

The stages: inline local functions, fix dimensions, optimise (ONNX Runtime at its portable level, if it takes the
model), fold what depends on constants only, infer shapes. Each is a function of a model and returns a new one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_SMALL_BYTES = 1 << 10
"""Constants up to this size travel with the graph through shape inference and folding; larger ones by shape only."""
_NOT_FOLDED = frozenset(
    [
        "RandomNormal",
        "RandomUniform",
        "RandomNormalLike",
        "RandomUniformLike",
        "Multinomial",
        "Bernoulli",
        "If",
        "Loop",
        "Scan",
    ]
)
_FOLD_LIMIT_BYTES = 1 << 20


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


def load(source: onnx.ModelProto | Path) -> onnx.ModelProto:
    """The model, its external data loaded. Raises InputError's rung for a file that is no ONNX model."""
    import onnx

    from turnkey.errors import InputError

    if not isinstance(source, Path):
        copy = onnx.ModelProto()
        copy.CopyFrom(source)
        return copy
    try:
        return onnx.load(source)
    except Exception as error:
        raise InputError(
            "the ONNX file cannot be read",
            evidence=f"{source}: {type(error).__name__}: {str(error)[:200]}",
            remedy="python -m onnx.checker FILE   # says what is wrong with it",
        ) from error


def prepare(model: onnx.ModelProto, *, dims: Mapping[str, int], optimize: str = "basic") -> Prepared:
    """Run all stages.

    Args:
        dims: numbers for symbolic dimensions, by name.
        optimize: ``basic`` or ``none``.

    Raises:
        NonStaticShapeError: an input still has a symbolic dimension.
        UnsupportedInModelLibraryFormatError: inputs or outputs that are no tensors, or of a type that C lacks.
    """
    import onnx
    import onnx.inliner

    refuse_non_tensors(model)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    model = fix_dimensions(model, dims)
    notes: list[str] = []
    if optimize == "basic":
        model, note = _optimized(model)
        notes += [note] if note else []
    return prepare_again(model, notes=tuple(notes))


def prepare_again(model: onnx.ModelProto, *, notes: tuple[str, ...]) -> Prepared:
    """The later stages, for a model whose dimensions are fixed and whose nodes were changed."""
    apart, constants = _constants_apart(model)
    apart, constants, tensors, unknown = _fold(apart, constants)
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
        MlfUsageError: a name that no input has, or a number below 1.
        NonStaticShapeError: one is left over.
    """
    import onnx

    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    names = {dim.dim_param for value in inputs for dim in value.type.tensor_type.shape.dim if dim.dim_param}
    for name, number in dims.items():
        if name not in names or number < 1:
            raise failure(
                "mlf-bad-option",
                f"no input has a dimension called {name!r} that could be {number}",
                evidence=f"symbolic dimensions: {', '.join(sorted(names)) or 'none'}",
                remedy="export-mlf --dim NAME=N with one of these names",
            )
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
            elif not dim.HasField("dim_value"):
                raise _dynamic(value.name, f"axis {axis}", dim.dim_param)
    for value in (*fixed.graph.output, *fixed.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.dim_param in dims:
                dim.dim_value = dims[dim.dim_param]
    if dims:  # shapes in the middle may have been computed for other numbers
        del fixed.graph.value_info[:]
    return fixed


def _dynamic(tensor: str, where: str, dimension: str) -> Exception:
    remedy = f"export-mlf --dim {dimension}=1" if dimension else "export the model with static shapes"
    return failure(
        "mlf-dynamic-shape",
        f"the shape of {tensor!r} is not known before the program runs",
        evidence=f"tensor {tensor!r}, {where}" + (f" is {dimension!r}" if dimension else " has no number"),
        remedy=remedy,
    )


def unknown_shape(prepared: Prepared) -> Exception:
    """The error for the first tensor whose shape inference could not tell."""
    name, reason = next(iter(prepared.unknown.items()))
    return _dynamic(name, reason, "")


def _optimized(model: onnx.ModelProto) -> tuple[onnx.ModelProto, str]:
    """The model through ONNX Runtime's portable optimisations, or as it was with a note why."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-") as directory:
        options.optimized_model_filepath = str(Path(directory) / "optimized.onnx")
        try:
            source = _with_ir_version(model)
            if source.ByteSize() > 1 << 30:
                onnx.save(source, Path(directory) / "source.onnx", save_as_external_data=True, location="source.data")
                ort.InferenceSession(str(Path(directory) / "source.onnx"), options, providers=["CPUExecutionProvider"])
            else:
                ort.InferenceSession(source.SerializeToString(), options, providers=["CPUExecutionProvider"])
            better = onnx.load(options.optimized_model_filepath)
        except Exception as error:  # noqa: BLE001  (whatever ONNX Runtime refuses is lowered as it is, and said)
            return model, f"not optimised: ONNX Runtime refuses the model ({' '.join(str(error).split())[:160]})"
    kept = [value.name for value in better.graph.input] == [
        value.name
        for value in model.graph.input
        if value.name not in {tensor.name for tensor in model.graph.initializer}
    ]
    foreign = sorted(
        {node.domain for node in better.graph.node} - {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    )
    if not kept or foreign:
        return model, f"not optimised: the result differs in its inputs or uses {', '.join(foreign) or 'other inputs'}"
    return better, ""


def _with_ir_version(model: onnx.ModelProto) -> onnx.ModelProto:
    """IR 4 at least: with an older number, weights moved out of the inputs silently stop shape inference."""
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = max(4, model.ir_version)
    return copy


def _constants_apart(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model without weights and Constant nodes, and these by name."""
    import onnx
    from onnx import numpy_helper

    apart = _with_ir_version(model)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in apart.graph.initializer}
    for sparse in apart.graph.sparse_initializer:
        constants[sparse.values.name] = _dense(sparse)
    nodes = []
    for node in apart.graph.node:
        value = _constant_value(node) if node.op_type == "Constant" and node.domain in ("", "ai.onnx") else None
        if value is None:
            nodes.append(node)
        else:
            constants[node.output[0]] = value
    inputs = [value for value in apart.graph.input if value.name not in constants]
    rest = onnx.ModelProto()
    rest.CopyFrom(apart)
    for part in (rest.graph.node, rest.graph.initializer, rest.graph.sparse_initializer, rest.graph.input):
        del part[:]
    rest.graph.node.extend(nodes)
    rest.graph.input.extend(inputs)
    return rest, constants


def _constant_value(node: onnx.NodeProto) -> np.ndarray | None:
    import numpy as np
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name == "value":
            array: np.ndarray = numpy_helper.to_array(attribute.t)
            return array
        if attribute.name == "sparse_value":
            return _dense(attribute.sparse_tensor)
        if attribute.name in ("value_float", "value_floats"):
            plain = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            return np.array(plain, dtype=np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(attribute.i if attribute.name == "value_int" else list(attribute.ints), dtype=np.int64)
    return None


def _dense(sparse: onnx.SparseTensorProto) -> np.ndarray:
    import numpy as np
    from onnx import numpy_helper

    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return dense


def with_constants(
    model: onnx.ModelProto, constants: Mapping[str, np.ndarray], *, limit: int | None = None
) -> onnx.ModelProto:
    """The model with its constants as weights; those above ``limit`` bytes as further inputs."""
    import onnx
    from onnx import numpy_helper

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    used = used_names(model)
    for name, array in constants.items():
        if name not in used:
            continue
        if limit is None or array.nbytes <= limit:
            whole.graph.initializer.append(numpy_helper.from_array(array, name))
        else:
            number = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            whole.graph.input.append(onnx.helper.make_tensor_value_info(name, number, array.shape))
    return whole


def used_names(model: onnx.ModelProto) -> set[str]:
    """Names that nodes (bodies of control flow included) or outputs read."""
    names = {value.name for value in model.graph.output}

    def visit(nodes: Iterable[onnx.NodeProto]) -> None:
        for node in nodes:
            names.update(node.input)
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    visit(graph.node)
                    names.update(value.name for value in graph.output)

    visit(model.graph.node)
    return names


def infer(model: onnx.ModelProto, constants: Mapping[str, np.ndarray]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What shape inference knows of each tensor, and which tensors it cannot tell."""
    import onnx
    from onnx import shape_inference

    skeleton = with_constants(model, constants, limit=_SMALL_BYTES)
    try:
        inferred = shape_inference.infer_shapes(skeleton, strict_mode=False, data_prop=True)
    except Exception:  # noqa: BLE001  (models that inference rejects still have the shapes that they state)
        inferred = skeleton
    tensors = {
        name: Tensor(name=name, dtype=array.dtype.name, shape=tuple(array.shape))
        for name, array in constants.items()
        if array.dtype.kind not in "OSU"
    }
    unknown: dict[str, str] = {}
    stated: dict[str, onnx.ValueInfoProto] = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        stated[value.name] = value
    for name, value in stated.items():
        if name in tensors:
            continue
        tensor = value.type.tensor_type
        extents = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if value.type.WhichOneof("value") != "tensor_type":
            unknown[name] = f"it is a {(value.type.WhichOneof('value') or 'value').removesuffix('_type')}"
        elif not tensor.HasField("shape") or -1 in extents:
            unknown[name] = f"axis {extents.index(-1)}" if -1 in extents else "its shape"
        elif tensor.elem_type == onnx.TensorProto.STRING:
            unknown[name] = "it is of strings"
        else:
            kind = dtypes.of_onnx(tensor.elem_type, tensor=name)
            tensors[name] = Tensor(name=name, dtype=kind.name, shape=tuple(extents))
    for node in model.graph.node:
        for name in node.output:
            if name and name not in tensors and name not in unknown:
                unknown[name] = "its shape"
    return tensors, unknown


def _fold(
    model: onnx.ModelProto, constants: dict[str, np.ndarray]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, Tensor], dict[str, str]]:
    """Compute what depends on constants and shapes only, until nothing changes; then drop what nothing reads."""
    import onnx

    current = onnx.ModelProto()
    current.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    while True:
        tensors, unknown = infer(current, constants)
        folded = 0
        kept = []
        for node in current.graph.node:
            values = None if set(node.output) & outputs else _folded(node, constants, tensors, current)
            if values is None:
                kept.append(node)
            else:
                constants = {**constants, **values}
                folded += 1
        kept = _alive(kept, outputs)
        changed = folded or len(kept) != len(current.graph.node)
        del current.graph.node[:]
        current.graph.node.extend(kept)
        if not changed:
            names = {name for node in kept for name in node.output}
            used = used_names(current)
            return (
                current,
                {name: array for name, array in constants.items() if name in used},
                tensors,
                {name: reason for name, reason in unknown.items() if name in names or name in outputs},
            )


def _alive(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Nodes that something reads, in their order."""
    import onnx

    wanted = set(outputs)
    alive = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            alive.append(node)
            holder = onnx.ModelProto()
            holder.graph.node.append(node)
            wanted |= used_names(holder)
    return alive[::-1]


def _folded(
    node: onnx.NodeProto,
    constants: Mapping[str, np.ndarray],
    tensors: Mapping[str, Tensor],
    model: onnx.ModelProto,
) -> dict[str, np.ndarray] | None:
    """The node's outputs if they are known now; None otherwise."""
    import numpy as np

    if node.domain not in ("", "ai.onnx") or node.op_type in _NOT_FOLDED:
        return None
    if node.op_type in ("Shape", "Size") and node.input[0] in tensors:
        shape = tensors[node.input[0]].shape
        limits = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "Size":
            return {node.output[0]: np.array(int(np.prod(shape)), dtype=np.int64)}
        return {node.output[0]: np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)}
    if not node.input or not all(name == "" or name in constants for name in node.input):
        return None
    if not all(name in tensors and tensors[name].bytes <= _FOLD_LIMIT_BYTES for name in node.output if name):
        return None
    return _evaluated(node, constants, model)


def _evaluated(
    node: onnx.NodeProto, constants: Mapping[str, np.ndarray], model: onnx.ModelProto
) -> dict[str, np.ndarray] | None:
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    feeds = {name: constants[name] for name in node.input if name}
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in feeds.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    single = onnx.helper.make_model(graph, opset_imports=model.opset_import, ir_version=max(4, model.ir_version))
    try:
        with np.errstate(all="ignore"):
            values = ReferenceEvaluator(single).run(None, feeds)
    except Exception:  # noqa: BLE001  (what the reference cannot compute is computed by the C code)
        return None
    arrays = [np.asarray(value) for value in values]
    if any(array.dtype.kind in "OSU" for array in arrays):
        return None
    return dict(zip((name for name in node.output if name), arrays, strict=True))
