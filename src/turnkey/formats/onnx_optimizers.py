"""Formats of ONNX files whose graphs somebody else's optimiser simplified: raced beside ``onnx-opt``, not believed.

``onnx-transformers`` fuses attention, layer normalisation and the like into operators of ONNX Runtime's own domain
(``onnxruntime.transformers``), ``onnx-onnxscript`` folds constants and applies the rewrite rules of onnxscript,
``onnx-slim`` is onnxslim. Each file is verified and measured like any other; an optimiser that changed nothing says
so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings
from turnkey.formats.onnx_rewrite import UNCHANGED, OnnxRewrite, write_rewritten

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformersSettings:
    """How ONNX Runtime's transformer optimiser looks at the graph.

    Attributes:
        model_type: family of patterns: bert (encoders of every kind), gpt2, t5, vit, swin, clip, unet …
        num_heads, hidden_size: of the attention; 0 finds them in the graph.
    """

    model_type: str = "bert"
    num_heads: int = 0
    hidden_size: int = 0


class OnnxOptimizer(OnnxRewrite):
    """An ONNX file made by one optimiser.

    Args:
        name: of the format.
        optimize: (file, settings) to the model, all weights inside.
    """

    verb = "optimise"

    def __init__(
        self,
        name: str,
        optimize: Callable[[Path, Any], onnx.ModelProto],
        *,
        exporter: str,
        requires: tuple[str, ...],
        install: str,
        settings_type: type = NoSettings,
    ) -> None:
        self.name = name
        self.requires = requires
        self.install = install
        self.settings_type = settings_type
        self._optimize = optimize
        self._exporter = exporter

    def convert(self, request: ConvertRequest) -> Conversion:
        """Optimise ``request.parent``; settings are of ``settings_type``.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: the optimiser fails, or what it writes is not valid.
        """
        from turnkey.formats.failure_text import one_line
        from turnkey.formats.import_path import import_path_kept
        from turnkey.formats.onnx_file import load_graph, opset_of

        parent = self.parent_of(request)
        before = load_graph(parent)
        try:
            with import_path_kept():
                model = self._optimize(parent, request.settings)
            beyond = write_rewritten(model, request.path)
        except Exception as error:
            raise ConversionError(
                f"{self._exporter} cannot optimise {parent.name}",
                evidence=one_line(error),
                remedy="leave it out: optimize-ort does without it",
            ) from error
        count, now = len(before.graph.node), len(model.graph.node)
        note = f"{count} nodes became {now}" if count != now else f"{UNCHANGED}: {count} nodes stay"
        return Conversion(
            path=request.path,
            exporter=self._exporter,
            notes=(note, *beyond),
            facts={"opset": opset_of(model), "host_specific": False},
        )


def _by_transformers(parent: Path, settings: TransformersSettings) -> onnx.ModelProto:
    from onnxruntime.transformers.optimizer import optimize_model

    # Level 0: only the fusions in Python; what ONNX Runtime itself fuses is the format onnx-opt.
    optimized: onnx.ModelProto = optimize_model(
        str(parent),
        model_type=settings.model_type,
        num_heads=settings.num_heads,
        hidden_size=settings.hidden_size,
        opt_level=0,
    ).model
    return optimized


def _by_onnxscript(parent: Path, settings: NoSettings) -> onnx.ModelProto:
    import onnxscript.optimizer
    import onnxscript.rewriter

    from turnkey.formats.onnx_file import load_model

    optimized: onnx.ModelProto = onnxscript.rewriter.rewrite(onnxscript.optimizer.optimize(load_model(parent)))
    return optimized


def _by_onnxslim(parent: Path, settings: NoSettings) -> onnx.ModelProto:
    import onnxslim

    from turnkey.formats.onnx_file import load_model

    optimized: onnx.ModelProto = onnxslim.slim(load_model(parent))
    return optimized


TRANSFORMERS = OnnxOptimizer(
    "onnx-transformers",
    _by_transformers,
    exporter="onnxruntime-transformers",
    requires=("onnx", "onnxruntime"),
    install="pip install onnx onnxruntime",
    settings_type=TransformersSettings,
)
ONNXSCRIPT = OnnxOptimizer(
    "onnx-onnxscript",
    _by_onnxscript,
    exporter="onnxscript",
    requires=("onnx", "onnxscript"),
    install="pip install onnx onnxscript",
)
SLIM = OnnxOptimizer(
    "onnx-slim",
    _by_onnxslim,
    exporter="onnxslim",
    requires=("onnx", "onnxslim"),
    install="pip install 'onnxslim>=0.1.60,<1'",
)
