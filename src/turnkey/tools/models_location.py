"""The tool ``models-location``."""

from __future__ import annotations

from typing import Any

from turnkey.errors import InputError
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind


class ModelsLocation(Tool):
    """Print where the model scripts are that come with Turnkey."""

    name = "models-location"
    kind = ToolKind.MANAGEMENT
    arguments = (Argument(flags=("-q", "--quiet"), arity=Arity.FLAG, default=False, help="print the path alone"),)
    example = "turnkey models-location\nturnkey $(turnkey models-location -q)/selftest/linear.py"

    def manage(self, context: ManagementContext, quiet: bool = False, **arguments: Any) -> int:
        path = models_directory()
        if context.as_json:
            import json

            print(json.dumps({"models": path}))
        else:
            print(path if quiet or context.quiet else f"The models that come with Turnkey are in: {path}")
        return 0


def models_directory() -> str:
    """Beside the sources of a clone, else where a wheel puts shared files."""
    import sys
    from pathlib import Path

    candidates = (
        Path(__file__).resolve().parents[3] / "models",
        Path(sys.prefix) / "share" / "turnkey" / "models",
    )
    for candidate in candidates:
        if (candidate / "selftest").is_dir():
            return str(candidate)
    raise InputError(
        "the model scripts are not installed",
        evidence=f"looked in {' and '.join(map(str, candidates))}",
        remedy="clone the repository of Turnkey: the scripts are in its folder models/",
    )
