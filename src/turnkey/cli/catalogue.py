"""The tools as the command line knows them: all names, the classes that load, and one line for each that does not."""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.cli.globals import GLOBALS
from turnkey.cli.splitter import Grammar
from turnkey.pipeline.tool import Argument, Tool, ToolKind
from turnkey.pipeline.toolbox import TOOLS, find_tool


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Every tool that was found, by kind, in the order of the table; ``broken`` says why one is missing there."""

    by_kind: dict[ToolKind, list[type[Tool]]]
    broken: dict[str, str]


def grammar() -> Grammar:
    """The grammar over all installed tools; a tool is imported when its name is met."""
    return Grammar(global_arguments=GLOBALS, tool_names=TOOLS.names(), arguments_of=_arguments_of)


def load_catalogue() -> Catalogue:
    """Import the modules of all tools (they are light)."""
    by_kind: dict[ToolKind, list[type[Tool]]] = {kind: [] for kind in ToolKind}
    broken: dict[str, str] = {}
    for name in TOOLS.names():
        try:
            tool = find_tool(name)
            by_kind[tool.kind].append(tool)
        except Exception as error:  # noqa: BLE001 - a plug-in may raise anything when it is imported
            evidence = getattr(error, "evidence", "") or str(error)
            providers = " and ".join(TOOLS.distributions(name))
            broken[name] = f"broken ({providers}): {evidence.splitlines()[0] if evidence else type(error).__name__}"
    return Catalogue(by_kind=by_kind, broken=broken)


def _arguments_of(name: str) -> tuple[Argument, ...]:
    return find_tool(name).arguments
