"""The tool ``export-mlf``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.pipeline.quantity import size_bytes
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.load_onnx import parse_dimension

if TYPE_CHECKING:
    from turnkey.pipeline.state import State, Variant


def parse_renaming(text: str) -> str:
    """``old=new``: a tensor and its new name."""
    old, separator, new = text.rpartition("=")
    if not separator or not old or not new:
        raise ValueError("a renaming is given as OLD=NEW")
    return text


def _choice(flag: str, default: str, choices: tuple[str, ...], text: str) -> Argument:
    return Argument(flags=(flag,), default=default, choices=choices, help=text)


def _budget(flag: str, of: str) -> Argument:
    return Argument(
        flags=(flag,), parse=size_bytes, metavar="SIZE", help=f"fail if more than this much {of} is needed"
    )


class ExportMlf(Tool):
    """Export the newest ONNX file as a Model Library Format tarball: C source, weights and a memory plan.

    Every temporary gets its place in one workspace before the program runs; the code needs no heap and no library.
    The result is compiled and run here, compared with ONNX Runtime, and checked for writes out of bounds, before the
    tarball is written. What it computes and needs is printed as a table. A free dimension gets the extent that --dim
    gives, else load-onnx --dim, else the captured call; that is said.
    """

    name = "export-mlf"
    kind = ToolKind.SEQUENCE
    progress = "Exporting to Model Library Format"
    reads = "the newest ONNX file of the build, its samples"
    writes = "mlf/<name>.tar"
    example = "turnkey -i m.onnx load-onnx export-mlf --name kws benchmark"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("--name",), metavar="NAME", default_text="the input's stem", help="name of the model in C"),
        Argument(flags=("--output",), metavar="FILE", default_text="in the build", help="where the tarball goes too"),
        Argument(flags=("--add-to",), metavar="FILE", help="add this model to an existing tarball instead"),
        _choice("--mlf-version", "7", ("7", "5"), "version of the format"),
        _choice("--executor", "both", ("both", "aot", "graph"), "ahead-of-time entry point, executor graph, or both"),
        _choice("--style", "full-model", ("full-model", "operator"), "a whole model, or one operator"),
        _choice("--workspace", "external", ("external", "internal", "io"), "who owns the memory of temporaries"),
        _choice("--constants", "auto", ("auto", "embed", "incbin", "words", "pool"), "how weights reach the program"),
        Argument(
            flags=("--dim",), arity=Arity.MANY, parse=parse_dimension, default=(), metavar="NAME=N",
            default_text="as captured",
            help="numbers for symbolic dimensions",
        ),
        Argument(
            flags=("--rename",), arity=Arity.MANY, parse=parse_renaming, default=(), metavar="OLD=NEW",
            help="other names for inputs and outputs",
        ),
        _choice("--optimize", "basic", ("basic", "none"), "whether ONNX Runtime simplifies the graph first"),
        _choice("--kernels", "templates", ("templates", "generated"), "kernels of ours and fused, or node by node"),
        _choice("--order", "given", ("given", "memory"), "order of the steps: as in the model, or of least memory"),
        _choice("--align", "16", ("4", "8", "16", "32", "64"), "alignment of buffers in bytes"),
        _choice("--plan", "auto", ("auto", "best-fit", "exact"), "how memory is planned"),
        Argument(
            flags=("--plan-seconds",), parse=float, default=10.0, metavar="S",
            help="how long the exact planner searches, counted in placements so that plans are the same everywhere",
        ),
        Argument(flags=("--plan-from",), metavar="TAR", help="use the memory plan of an earlier tarball again"),
        Argument(
            flags=("--vector-bytes",), choices=("0", "16", "32", "64"), default_text="64 for host, else 0",
            help="widest vector of the compiled code",
        ),
        Argument(flags=("--target",), default="host", metavar="TARGET", help="host, generic, or a compiler's triple"),
        Argument(flags=("--cc",), metavar="COMMAND", default_text="$CC, else cc", help="C compiler"),
        Argument(flags=("--cflags",), metavar="FLAGS", default_text="-O3", help="its flags, as one text"),
        Argument(flags=("--objects",), arity=Arity.FLAG, default=False, help="pack compiled objects too"),
        _budget("--max-workspace", "workspace"),
        _budget("--max-stack", "stack"),
        _budget("--max-constants", "constant data"),
        Argument(flags=("--no-compile",), arity=Arity.FLAG, default=False, help="do not compile or run anything"),
        Argument(flags=("--no-verify",), arity=Arity.FLAG, default=False, help="do not compare outputs"),
        Argument(flags=("--sanitize",), arity=Arity.FLAG, default=False, help="run under the sanitizers too"),
        Argument(flags=("--samples",), parse=int, default=5, metavar="N", help="samples to verify with"),
        Argument(flags=("--picture",), metavar="FILE", help="write the memory plan as a picture: .svg or .html"),
    )  # fmt: skip

    def run(self, state: State, **arguments: Any) -> State:
        """Export.

        Raises:
            ConversionError: no ONNX file, or it cannot become C within the budgets.
            VerificationError: the C code computes something else.
            UsageError: an option does not fit the model.
        """
        import shlex
        from pathlib import Path

        from turnkey.mlf import ExportOptions, export, load, merge
        from turnkey.mlf.archive import write_atomically
        from turnkey.mlf.picture import write_picture
        from turnkey.mlf.table import library_table
        from turnkey.pipeline.build import BuildPaths
        from turnkey.pipeline.printable import printable
        from turnkey.tools.onnx_state import newest_onnx
        from turnkey.tools.tarball_variant import tarball_variant

        given = {key: value for key, value in arguments.items() if value is not None}
        parent = newest_onnx(state, tool=self.name)
        stem = Path(str(state.input.get("path") or state.build_name)).stem
        name = given.get("name") or stem
        loaded, captured = _known_dims(state, parent)
        chosen = loaded | _pairs(given.get("dim", ()), int)
        closed = [f"{name} is {extent}" for name, extent in captured.items() if name not in chosen]
        said = f"{', '.join(closed)}, as captured; --dim NAME=N makes it another\n" if closed else ""
        options = ExportOptions(
            version=int(given.get("mlf_version", 7)),
            dims=captured | chosen,
            renames=_pairs(given.get("rename", ()), str),
            align=int(given.get("align", 16)),
            plan_from=Path(given["plan_from"]) if "plan_from" in given else None,
            vector_bytes=int(given["vector_bytes"]) if "vector_bytes" in given else None,
            cc=given.get("cc"),
            cflags=tuple(shlex.split(given["cflags"])) if "cflags" in given else None,
            compile=not given.get("no_compile", False),
            verify=not given.get("no_verify", False),
            **{key: given[key] for key in _PLAIN if key in given},
        )
        path = BuildPaths(state.cache_dir, state.build_name).directory / "mlf" / f"{Path(name).name}.tar"
        if "add_to" in given:
            load(given["add_to"])  # what cannot be read is said before anything is made
        made = export(
            state.build_dir / parent.path,
            path,
            name=name,
            options=options,
            listen=lambda stage, text, seconds: print(f"  {stage:<8} {text}   {seconds:.1f} s"),
        )
        if "add_to" in given:
            merge([Path(given["add_to"]), path], Path(given["add_to"]))
        if "output" in given:
            write_atomically(Path(given["output"]), path.read_bytes())
        if "picture" in given:
            write_picture(made.library, Path(given["picture"]))
        variant = tarball_variant(made.library, path, parent=parent, build_dir=state.build_dir, exporter="turnkey-mlf")
        facts = {
            "mlf_workspace_bytes": made.plan["workspace"],
            "mlf_lower_bound_bytes": made.plan["lower_bound"],
            "mlf_digest": made.digest,
        }
        return replace(
            state.with_variant(variant), listing=printable(said + library_table(made.library), keep="\n")
        ).with_statistics(**facts)


_PLAIN = (
    "executor",
    "style",
    "workspace",
    "constants",
    "optimize",
    "kernels",
    "order",
    "plan",
    "plan_seconds",
    "target",
    "objects",
    "max_workspace",
    "max_stack",
    "max_constants",
    "sanitize",
    "samples",
)


def _known_dims(state: State, parent: Variant) -> tuple[dict[str, int], dict[str, int]]:
    """Extents of the file's symbolic dimensions: those that load-onnx was given, and those of the captured call."""
    from turnkey.formats.onnx_file import load_graph
    from turnkey.formats.onnx_signature import read_signature, symbols_of

    signature = read_signature(load_graph(state.build_dir / parent.path))
    symbols = symbols_of(signature)
    given = [arguments.get("dim") or () for tool, arguments, _ in state.sequence if tool == "load-onnx"][-1:]
    loaded = {name: extent for texts in given for name, extent in _pairs(texts, int).items() if name in symbols}
    captured = {
        symbol: extent
        for spec in signature.inputs
        for symbol, extent in zip(spec.shape, state.expected_input_shapes.get(spec.name, ()), strict=False)
        if isinstance(symbol, str) and isinstance(extent, int)
    }
    return loaded, captured


def _pairs(texts: Any, kind: Any) -> dict[str, Any]:
    return {text.rpartition("=")[0]: kind(text.rpartition("=")[2]) for text in texts}
