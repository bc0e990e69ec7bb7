"""The decorator door: decorate a class, call ``benchmark``, get a table and one file to send to a colleague.

    from turnkey import Lexer, LexerContext

    @Lexer(input_names=["image"], output_names=["upscaled"])
    class SuperResolutionNet(nn.Module): ...

    lexer_context = LexerContext()
    print(lexer_context.benchmark(SuperResolutionNet(), torch.randn(1, 1, 32, 32), num_iterations=100))
    lexer_context.flush(name="benchmark", target_directory=".")

Importing this package imports nothing heavy: each name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnkey.lexer.api.lexer_context import LexerContext
    from turnkey.lexer.artifact import LexerArtifact, load
    from turnkey.lexer.comparison import compare
    from turnkey.lexer.decorators.lexer import Lexer
    from turnkey.lexer.handle import Handle, handle_of
    from turnkey.lexer.merging import merge
    from turnkey.lexer.onnx_export import ExportResult, ValidationError
    from turnkey.lexer.report import BenchmarkReport
    from turnkey.lexer.row import BenchmarkRow
    from turnkey.lexer.sweep import Sweep

_PLACES = {
    "BenchmarkReport": "report",
    "BenchmarkRow": "row",
    "ExportResult": "onnx_export",
    "Handle": "handle",
    "Lexer": "decorators.lexer",
    "LexerArtifact": "artifact",
    "LexerContext": "api.lexer_context",
    "Sweep": "sweep",
    "ValidationError": "onnx_export",
    "compare": "comparison",
    "handle_of": "handle",
    "load": "artifact",
    "merge": "merging",
}

__all__ = [
    "BenchmarkReport",
    "BenchmarkRow",
    "ExportResult",
    "Handle",
    "Lexer",
    "LexerArtifact",
    "LexerContext",
    "Sweep",
    "ValidationError",
    "compare",
    "handle_of",
    "load",
    "merge",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
