"""The tool ``load-mlf``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.state import State

_SAMPLES = 4


class LoadMlf(Tool):
    """Load a Model Library Format tarball: check it, and copy it with the ONNX model that it carries into the build.

    The following tools treat the tarball as any variant: its C code is compiled and run, which runs the code of
    whoever made it. The ONNX model inside is the source that it is verified against.
    """

    name = "load-mlf"
    kind = ToolKind.FIRST
    progress = "Loading Model Library Format"
    reads = "a .tar file"
    writes = "mlf/<name>.tar, onnx/<name>-op<N>-loaded.onnx, samples/"
    example = "turnkey -i kws.tar load-mlf --verify benchmark"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("--verify",), arity=Arity.FLAG, default=False, help="compile, run and check it at once"),
        Argument(flags=("--module",), metavar="NAME", help="which module, where the tarball holds several"),
    )

    @classmethod
    def needs_turn(cls, **arguments: Any) -> bool:
        """Where the tarball can be read, which compiles and runs nothing."""
        from pathlib import Path

        from turnkey.errors import TurnkeyError
        from turnkey.mlf.library import load

        try:
            load(Path(arguments["input"]))
        except (TurnkeyError, OSError):
            return False
        return True

    def run(self, state: State, **arguments: Any) -> State:
        """Load the tarball.

        Raises:
            ArtifactError: it is corrupt, hostile, or carries no ONNX model.
            UsageError: it holds several modules and none was named.
            VerificationError: ``--verify`` found a difference or a write out of bounds.
        """
        from dataclasses import replace
        from pathlib import Path

        import onnx

        from turnkey.formats import Conversion
        from turnkey.formats.onnx_file import opset_of
        from turnkey.mlf.archive import write_atomically
        from turnkey.mlf.library import load
        from turnkey.mlf.sampling import index_limits, make_samples
        from turnkey.mlf.table import library_table
        from turnkey.model.samples import SampleSet, write_samples
        from turnkey.pipeline.build import BuildPaths
        from turnkey.pipeline.printable import printable
        from turnkey.tools.onnx_state import Weights, with_onnx, with_onnx_source
        from turnkey.tools.tarball_variant import tarball_variant

        source = Path(arguments["input"])
        if arguments.get("target"):
            raise UsageError(
                "a module of a tarball is selected by --module, not by a hash",
                evidence=f"{source}::{arguments['target']}",
                remedy=f"turnkey -i {source} load-mlf --module NAME",
            )
        library = load(source)
        module = library.module(arguments.get("module"))
        print(printable(library_table(library), keep="\n"))
        said = ""
        if arguments.get("verify"):
            found = module.verify()
            said = (
                f"{module.name}: verified on {found.samples} samples against {found.reference}: "
                f"largest error {found.max_abs:.1e}, relative {found.max_rel:.1e}"
            )
        model = module.onnx()
        shapes = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
        seed = int(state.environment.get("seed") or 0)
        inputs = make_samples(module.inputs, count=_SAMPLES, seed=seed, limits=index_limits(model, shapes))
        samples = SampleSet(structure=None, inputs=tuple(inputs), outputs=(None,) * len(inputs), seed=seed)
        # Nothing was written so far: a tarball that cannot be used leaves no build behind.
        paths = BuildPaths(state.cache_dir, state.build_name)
        target = paths.onnx(opset_of(model), "loaded")
        target.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, target)
        copy = paths.directory / "mlf" / f"{source.stem}.tar"
        write_atomically(copy, source.read_bytes())
        write_samples(samples, paths.samples)
        arrays = module.parameters().values()
        weights = Weights(
            elements=sum(array.size for array in arrays), size_bytes=sum(array.nbytes for array in arrays)
        )
        state = with_onnx_source(state, target, samples, name=source.stem, class_name=module.name, weights=weights)
        facts = {"opset": opset_of(model)}
        state = with_onnx(state, Conversion(path=target, exporter="loaded", facts=facts), key="onnx", parent=None)
        variant = tarball_variant(
            library,
            copy,
            parent=state.variant("onnx"),
            build_dir=paths.directory,
            exporter=str(module.metadata.turnkey.get("generator", "unknown")),
        )
        return replace(state.with_variant(variant), listing=said)
