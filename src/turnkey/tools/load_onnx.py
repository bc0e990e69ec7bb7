"""The tool ``load-onnx``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import InputError, UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.state import State
    from turnkey.tools.onnx_state import Weights

_SAMPLES = 4
_SOON_READ_BYTES = 64 << 20
"""Files up to this size are read before their turn has come, to see whether they can be."""


def parse_dimension(text: str) -> str:
    """``batch=4``: a symbolic dimension and its extent."""
    name, separator, extent = text.rpartition("=")
    if not separator or not name or not extent.isdigit():
        raise ValueError("a dimension is given as NAME=N, such as batch=4")
    return text


class LoadOnnx(Tool):
    """Load an ONNX file: check it, and copy it with its external data into the build.

    Inputs and outputs are read from the file; symbolic dimensions stay symbolic. Since a file brings no inputs,
    samples are drawn from a seeded generator to fit dtype and use: indices stay inside the tables that they index,
    masks hold ones.
    """

    name = "load-onnx"
    kind = ToolKind.FIRST
    progress = "Loading ONNX file"
    reads = "an .onnx file, with its external data beside it"
    writes = "onnx/<name>-op<N>-loaded.onnx, samples/"
    example = "turnkey -i examples/cli/onnx/sample.onnx load-onnx optimize-ort"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--dim",),
            help="extents of symbolic dimensions in the samples, such as batch=4",
            arity=Arity.MANY,
            parse=parse_dimension,
            default=(),
            default_text="1 each",
            metavar="NAME=N",
        ),
    )

    @classmethod
    def needs_turn(cls, **arguments: Any) -> bool:
        """Where the file can be read as an ONNX model; large ones are taken to be."""
        from pathlib import Path

        from turnkey.errors import TurnkeyError
        from turnkey.formats.onnx_file import load_graph

        source = Path(arguments["input"])
        try:
            if source.stat().st_size <= _SOON_READ_BYTES:
                load_graph(source)
        except (TurnkeyError, OSError):
            return False
        return True

    def run(self, state: State, **arguments: Any) -> State:
        """Load the file.

        Raises:
            InputError: missing, a directory, empty, corrupt, not valid ONNX, without its external data or outputs,
                or with an input that is no tensor or larger than memory.
            UsageError: ``--dim`` names a dimension that the file does not have.
        """
        from pathlib import Path

        from turnkey.formats import Conversion
        from turnkey.formats.onnx_file import check_file, copy_model, external_files, load_graph, opset_of
        from turnkey.formats.onnx_signature import make_samples, read_signature, symbols_of
        from turnkey.model.samples import SampleSet, write_samples
        from turnkey.pipeline.build import BuildPaths
        from turnkey.pipeline.source_file import digests
        from turnkey.tools.onnx_state import with_onnx, with_onnx_source

        source = Path(arguments["input"])
        if arguments.get("target"):
            raise UsageError(
                "an ONNX file holds one model, which needs no hash",
                evidence=f"{source}::{arguments['target']}",
                remedy=f"turnkey -i {source} load-onnx",
            )
        check_file(source)
        model = load_graph(source)
        signature = read_signature(model)
        if not signature.outputs:
            raise InputError(
                f"{source.name} gives nothing back",
                evidence=f"{source}: its graph has no outputs",
                remedy="export the model again, with its results as outputs",
            )
        symbols = symbols_of(signature)
        dimensions = _dimensions(arguments.get("dim") or (), symbols)
        opset = opset_of(model)
        if opset == 0:
            raise InputError(
                f"{source.name} does not say which opset it uses",
                evidence=f"{source}: opset_import has no standard domain",
                remedy="export the model again",
            )
        seed = int(state.environment.get("seed") or 0)
        inputs = make_samples(model, seed=seed, count=_SAMPLES, dimensions=dimensions)
        samples = SampleSet(structure=None, inputs=inputs, outputs=(None,) * len(inputs), seed=seed)
        # Nothing was written so far: a file that cannot be used leaves no build behind.
        paths = BuildPaths(state.cache_dir, state.build_name)
        target = paths.onnx(opset, "loaded")
        copy_model(source, target)
        write_samples(samples, paths.samples)
        class_name = model.graph.name or source.stem
        imported = digests(path.absolute() for path in external_files(source))
        state = replace(state, input={**state.input, "imported": imported})
        state = with_onnx_source(
            state, target, samples, name=source.stem, class_name=class_name, weights=_weights(model)
        )
        notes = []
        free = [name for name in symbols if name not in dimensions]
        if free:
            notes.append(f"symbolic dimensions of extent 1 in the samples: {', '.join(free)} (change: --dim NAME=N)")
        conversion = Conversion(path=target, exporter="loaded", notes=tuple(notes), facts={"opset": opset})
        return with_onnx(state, conversion, key="onnx", parent=None)


def _dimensions(texts: Any, symbols: tuple[str, ...]) -> dict[str, int]:
    dimensions = {name: int(extent) for name, _, extent in (text.rpartition("=") for text in texts)}
    unknown = [name for name in dimensions if name not in symbols]
    if unknown:
        wanted = " ".join(f"{name}={dimensions.get(name, 1)}" for name in symbols)
        raise UsageError(
            f"--dim names the dimension{'s' if len(unknown) > 1 else ''} {', '.join(map(repr, unknown))}, "
            f"which the file does not have",
            evidence=f"symbolic dimensions: {', '.join(symbols) or 'none'}",
            remedy=f"--dim {wanted}" if symbols else "leave --dim out",
        )
    return dimensions


def _weights(model: Any) -> Weights:
    """The floating-point initialisers, which play the part of parameters."""
    from math import prod

    import onnx

    from turnkey.tools.onnx_state import Weights

    count = size_bytes = 0
    for tensor in model.graph.initializer:
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        if "float" in dtype.name or dtype.kind == "c":
            count += prod(tensor.dims)
            size_bytes += prod(tensor.dims) * dtype.itemsize
    return Weights(elements=count, size_bytes=size_bytes)
