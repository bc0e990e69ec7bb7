"""The tool ``version``."""

from __future__ import annotations

from typing import Any

from turnkey.pipeline.tool import ManagementContext, Tool, ToolKind
from turnkey.version import __version__


class Version(Tool):
    """Print the version of Turnkey, alone on a line."""

    name = "version"
    kind = ToolKind.MANAGEMENT
    example = "turnkey version"

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        print(f'{{"version": "{__version__}"}}' if context.as_json else __version__)
        return 0
