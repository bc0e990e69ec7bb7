"""The tool ``convert-fp16``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


class ConvertOnnxToFp16(Tool):
    """Convert the newest ONNX file to float16: weights and activations, inputs and outputs too.

    Inputs change from float32 and float64 to float16 and from int64 to int32, unless they are to be kept. Operators
    that have no float16 form stay in float32.
    """

    name = "convert-fp16"
    kind = ToolKind.SEQUENCE
    reusable = True
    progress = "Converting ONNX to FP16"
    reads = "the newest ONNX file of the build"
    writes = "onnx/<name>-op<N>-f16.onnx; after optimize-ort ...-opt-f16.onnx"
    example = "turnkey -i models/selftest/linear.py discover export-pytorch convert-fp16 --keep-io"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--keep-io",),
            help="inputs and outputs keep their dtypes",
            arity=Arity.FLAG,
            default=False,
        ),
        Argument(
            flags=("--block",),
            help="operators that stay in float32, such as Softmax",
            arity=Arity.MANY,
            default=(),
            default_text="those without a float16 form",
            metavar="OP",
        ),
    )

    def run(self, state: State, **arguments: Any) -> State:
        from turnkey.formats import ConvertRequest, find_format
        from turnkey.formats.onnx_fp16 import Fp16Settings
        from turnkey.tools.onnx_state import newest_onnx, onnx_path, with_onnx

        keep_io = bool(arguments.get("keep_io"))
        parent = newest_onnx(state, tool=self.name)
        conversion = find_format("onnx-fp16").convert(
            ConvertRequest(
                parent=state.build_dir / parent.path,
                path=onnx_path(state, parent, suffix="f16"),
                settings=Fp16Settings(keep_io=keep_io, block=tuple(arguments.get("block") or ())),
            )
        )
        return with_onnx(state, conversion, key=f"{parent.key}-fp16", parent=parent)
