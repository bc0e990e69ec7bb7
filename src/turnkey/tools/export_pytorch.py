"""The tool ``export-pytorch``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey import settings
from turnkey.errors import ModelError, UsageError
from turnkey.formats.onnx_export import EXPORTERS, axis_of
from turnkey.pipeline.quantity import positive_count
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind, ToolSkipped

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


def parse_axis(text: str) -> str:
    """``input_ids:1``, checked for its form."""
    try:
        axis_of(text)
    except UsageError as error:
        raise ValueError(error.what) from None
    return text


class ExportPytorchModel(Tool):
    """Export the discovered PyTorch model to ONNX, in evaluation mode and without gradients.

    torch.export is tried first, with a dynamic batch axis where the model allows it; if it fails, or if its file
    computes something else than the model on the captured inputs, the TorchScript exporter is tried. Every try is
    recorded with its outcome. The file is checked by onnx.checker and run once by ONNX Runtime.
    """

    name = "export-pytorch"
    kind = ToolKind.SEQUENCE
    reusable = True
    progress = "Exporting PyTorch to ONNX"
    reads = "the model and the samples found by discover"
    writes = "onnx/<name>-op<N>-base.onnx, with large weights beside it in <file>.data"
    example = "turnkey -i models/selftest/linear.py discover export-pytorch --opset 18"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--opset",),
            help="opset of the ONNX file",
            parse=positive_count,
            default=settings.onnx_opset,
            default_text="$TURNKEY_ONNX_OPSET, else 20",
            metavar="N",
        ),
        Argument(
            flags=("--exporter",),
            help="auto: torch.export, then TorchScript; fast: TorchScript first, where tracing is sound",
            default="auto",
            choices=("auto", *EXPORTERS, "fast"),
        ),
        Argument(
            flags=("--dynamic",),
            help="further axes that may vary, such as input_ids:1",
            arity=Arity.MANY,
            parse=parse_axis,
            default=(),
            default_text="the batch axis, and what the script itself varied",
            metavar="NAME:AXIS",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """A build that was loaded runs its script again, unless it began with an ONNX file."""
        return all(variant.exporter != "loaded" for variant in state.variants)

    def run(self, state: State, **arguments: Any) -> State:
        """Export the model.

        Raises:
            ConversionError: no exporter could; the evidence is the table of all tries.
            ModelError: there is no live model, or it fails on its own inputs.
            UsageError: an opset or an axis that does not exist.
        """
        from turnkey.formats import ConvertRequest, find_format
        from turnkey.formats.export_attempt import attempts_table
        from turnkey.formats.onnx_export import OnnxExportSettings
        from turnkey.pipeline.build import BuildPaths
        from turnkey.tools.onnx_state import with_onnx

        opset = arguments.get("opset") or settings.onnx_opset()
        exporter = arguments.get("exporter") or "auto"
        if not self.needs_live_model(state) or (state.model is not None and state.model.module is None):
            raise ToolSkipped("the input is an ONNX file already")
        if state.model is None:
            raise ModelError(
                "there is no model to export",
                evidence=f"the build {state.build_name} holds no live model",
                remedy="start with the script: turnkey -i SCRIPT.py discover export-pytorch",
            )
        path = BuildPaths(state.cache_dir, state.build_name).onnx(opset, "base")
        conversion = find_format("onnx").convert(
            ConvertRequest(
                source=state.model,
                path=path,
                settings=OnnxExportSettings(
                    opset=opset, exporter=exporter, dynamic=tuple(arguments.get("dynamic") or ())
                ),
            )
        )
        print(attempts_table(conversion.attempts))
        tries: dict[str, list[str]] = {}
        for attempt in conversion.attempts:
            said = f"{attempt['outcome']}: {attempt['reason']}" if attempt["reason"] else attempt["outcome"]
            tries.setdefault(attempt["exporter"], []).append(f"{said} ({attempt['axes']})")
        outcomes = {name: "; ".join(said) for name, said in tries.items()}
        state = with_onnx(state, conversion, key="onnx", parent=None).with_statistics(export_attempts=outcomes)
        return replace(state, listing=_sentence(state))


def _sentence(state: State) -> str:
    """Where the file is and which of its axes are free, in one line for the terminal."""
    dimensions = state.statistics["onnx_input_dimensions"].values()
    free = dict.fromkeys(size for shape in dimensions for size in shape if isinstance(size, str))
    axes = f"{', '.join(free)} free" if free else "all axes fixed"
    return f"{state.statistics['onnx_file']}, {axes}"
