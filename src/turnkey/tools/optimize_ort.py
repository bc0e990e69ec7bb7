"""The tool ``optimize-ort``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.pipeline.tool import Argument, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


class OptimizeOnnxModel(Tool):
    """Optimise the graph of the newest ONNX file with ONNX Runtime.

    Level basic removes what is redundant and stays with the standard operators: the file runs everywhere. Levels
    extended and all fuse for ONNX Runtime on this processor; their files are marked as host-specific.
    """

    name = "optimize-ort"
    kind = ToolKind.SEQUENCE
    reusable = True
    progress = "Optimizing ONNX file"
    reads = "the newest ONNX file of the build"
    writes = "onnx/<name>-op<N>-opt.onnx"
    example = "turnkey -i models/selftest/linear.py discover export-pytorch optimize-ort"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--level",),
            help="how far to go; beyond basic the file is for this kind of processor only",
            default="basic",
            choices=("basic", "extended", "all"),
        ),
    )

    def run(self, state: State, **arguments: Any) -> State:
        from turnkey.formats import ConvertRequest, find_format
        from turnkey.formats.onnx_ort import OrtOptimizationSettings
        from turnkey.tools.onnx_state import newest_onnx, onnx_path, with_onnx

        level = arguments.get("level") or "basic"
        parent = newest_onnx(state, tool=self.name)
        suffix = "opt" if level == "basic" else f"opt-{level}"
        key = f"{parent.key}-{suffix}"
        conversion = find_format("onnx-opt").convert(
            ConvertRequest(
                parent=state.build_dir / parent.path,
                path=onnx_path(state, parent, suffix=suffix),
                settings=OrtOptimizationSettings(level=level),
            )
        )
        return with_onnx(state, conversion, key=key, parent=parent)
