"""Model Library Format: a network as a tarball of C source, and back."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from turnkey.mlf.export import Exported, export
from turnkey.mlf.failures import NonStaticShapeError, UnsupportedInModelLibraryFormatError
from turnkey.mlf.library import Library, Module, load
from turnkey.mlf.memory_plan import plan
from turnkey.mlf.merging import merge
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.params import load_params, save_params

if TYPE_CHECKING:
    from turnkey.mlf.tuning import Tuned, tune

__all__ = [
    "ExportOptions",
    "Exported",
    "Library",
    "Module",
    "NonStaticShapeError",
    "Tuned",
    "UnsupportedInModelLibraryFormatError",
    "export",
    "load",
    "load_params",
    "merge",
    "plan",
    "save_params",
    "tune",
]


def __getattr__(name: str) -> Any:
    if name not in ("Tuned", "tune"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("turnkey.mlf.tuning"), name)  # which imports the measuring engine
