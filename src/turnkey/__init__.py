"""Turnkey: from a PyTorch script or ONNX file to verified, measured, deployable models.

    results = turnkey.evaluate_files(["model.py"], turnkey.Sequence(["discover", "export-pytorch", "verify"]))
    state = turnkey.load_state(state_path="~/.cache/turnkey/model/model_state.yaml")

    package = turnkey.optimize(model, dataloader)

Importing this package imports nothing else: each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from turnkey.version import __version__

if TYPE_CHECKING:
    from turnkey.cli.main import main as turnkeycli
    from turnkey.discovery import discover
    from turnkey.launch import Interrupted, Options, Result, evaluate, exit_code
    from turnkey.launch.python_call import evaluate_files
    from turnkey.lexer.api.lexer_context import LexerContext
    from turnkey.lexer.decorators.lexer import Lexer
    from turnkey.navigator.dispatch import optimize
    from turnkey.navigator.inplace import Module, load_optimized
    from turnkey.pipeline.sequence import Sequence
    from turnkey.pipeline.state import State
    from turnkey.pipeline.state_file import load_state

_PLACES = {
    "Interrupted": "turnkey.launch",
    "Lexer": "turnkey.lexer.decorators.lexer",
    "LexerContext": "turnkey.lexer.api.lexer_context",
    "Options": "turnkey.launch",
    "Result": "turnkey.launch",
    "Sequence": "turnkey.pipeline.sequence",
    "State": "turnkey.pipeline.state",
    "discover": "turnkey.discovery",
    "evaluate": "turnkey.launch",
    "evaluate_files": "turnkey.launch.python_call",
    "exit_code": "turnkey.launch",
    "Module": "turnkey.navigator.inplace",
    "load_optimized": "turnkey.navigator.inplace",
    "load_state": "turnkey.pipeline.state_file",
    "optimize": "turnkey.navigator.dispatch",
    "turnkeycli": "turnkey.cli.main:main",
}

_ROOMS = ("navigator", "parser", "report", "tools")
"""Modules that are reached as ``turnkey.report.get_dict(…)`` without an import of their own."""

_FRAMEWORKS = ("jax", "onnx", "python", "tensorflow", "torch")
"""``turnkey.torch.optimize(…)`` and its like: names of the navigator."""

__all__ = [
    "Interrupted",
    "Lexer",
    "LexerContext",
    "Module",
    "Options",
    "Result",
    "Sequence",
    "State",
    "__version__",
    "discover",
    "evaluate",
    "evaluate_files",
    "exit_code",
    "load_optimized",
    "load_state",
    "optimize",
    "turnkeycli",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"turnkey.{name}")
    if name in _FRAMEWORKS:
        return getattr(import_module("turnkey.navigator"), name)
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'turnkey' has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = getattr(import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES, *_ROOMS, *_FRAMEWORKS})
