"""Formats ``onnx-opt``, ``onnx-opt-extended`` and ``onnx-opt-all``: files that ONNX Runtime optimised once, offline.

``basic`` keeps to the standard operators and runs everywhere. ``extended`` fuses into operators of ONNX Runtime's
own domain, ``all`` chooses memory layouts for the processor at hand: such files are marked.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_rewrite import OnnxRewrite, write_rewritten

if TYPE_CHECKING:
    import onnx

LEVELS = ("basic", "extended", "all")
_IR_WITH_FREE_INITIALISERS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OrtOptimizationSettings:
    """``level`` is one of `LEVELS`; empty for that of the format."""

    level: str = ""


class OrtOptimization(OnnxRewrite):
    """An ONNX file optimised by ONNX Runtime, at ``level`` where the settings name none."""

    settings_type = OrtOptimizationSettings
    verb = "optimise"
    tool = "optimize-ort"

    def __init__(self, name: str, *, level: str) -> None:
        self.name = name
        self.level = level

    def convert(self, request: ConvertRequest) -> Conversion:
        """Optimise ``request.parent``; settings are `OrtOptimizationSettings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: ONNX Runtime refuses the model.
        """
        import onnxruntime  # half a second, with onnx: only when a file is really optimised

        from turnkey.formats.failure_text import one_line
        from turnkey.formats.onnx_file import load_graph, load_model, opset_of
        from turnkey.formats.onnx_signature import read_signature

        parent, level = self.parent_of(request), request.settings.level or self.level
        before = load_graph(parent)
        with tempfile.TemporaryDirectory(prefix="turnkey-ort-") as scratch:
            written = Path(scratch) / "model.onnx"
            options = onnxruntime.SessionOptions()
            options.graph_optimization_level = {
                "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
                "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
                "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
            }[level]
            options.optimized_model_filepath = str(written)
            options.log_severity_level = 3
            # Weights beside the file: protobuf cannot hold more than 2 GiB, and the size is not known before.
            options.add_session_config_entry("session.optimized_model_external_initializers_file_name", "weights")
            options.add_session_config_entry("session.optimized_model_external_initializers_min_size_in_bytes", "1024")
            try:
                onnxruntime.InferenceSession(str(parent), options, providers=["CPUExecutionProvider"])
            except Exception as error:
                raise ConversionError(
                    f"ONNX Runtime cannot optimise {parent.name}",
                    evidence=one_line(error),
                    remedy="leave optimize-ort out, or export with another --opset",
                ) from error
            model = load_model(written)
        _drop_weights_from_inputs(model, {spec.name for spec in read_signature(before).inputs})
        beyond = write_rewritten(model, request.path)
        notes = [f"{len(before.graph.node)} nodes became {len(model.graph.node)}"]
        if level != "basic":
            notes.append("host-specific: optimised for ONNX Runtime on this processor")
        return Conversion(
            path=request.path,
            exporter=f"onnxruntime-{level}",
            notes=(*notes, *beyond),
            facts={"opset": opset_of(model), "host_specific": level != "basic"},
        )


FORMAT = OrtOptimization("onnx-opt", level="basic")
EXTENDED = OrtOptimization("onnx-opt-extended", level="extended")
ALL = OrtOptimization("onnx-opt-all", level="all")


def _drop_weights_from_inputs(model: onnx.ModelProto, names: set[str]) -> None:
    """Keep only the inputs that a caller must give, in place.

    In old files initialisers are inputs as well. ONNX Runtime folds them away and leaves their inputs behind, without
    a value; and it adds initialisers that are no inputs, which IR version 3 does not allow.
    """
    kept = [value for value in model.graph.input if value.name in names]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    model.ir_version = max(model.ir_version, _IR_WITH_FREE_INITIALISERS)
