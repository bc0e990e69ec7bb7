"""Writes docs/cli.md from what exists: the help of the program and of every tool.

python docs/make_cli_reference.py
"""

from __future__ import annotations

from pathlib import Path

from turnkey.cli.catalogue import load_catalogue
from turnkey.cli.help import program_help, tool_help
from turnkey.pipeline.toolbox import TOOLS, find_tool

PAGE = Path(__file__).with_name("cli.md")
WIDTH = 100


def page() -> str:
    """The text of docs/cli.md."""
    parts = [
        "# Command line reference",
        "Written by `docs/make_cli_reference.py` from the tools themselves; a test compares the two.",
        "## turnkey",
        _block(program_help(load_catalogue(), width=WIDTH)),
    ]
    for name in TOOLS.builtin:
        parts += [f"## {name}", _block(tool_help(find_tool(name), width=WIDTH))]
    return "\n\n".join(parts) + "\n"


def _block(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
