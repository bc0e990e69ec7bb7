"""What the documentation site needs beyond its pages: the Python reference, and links that leave ``docs/``.

The reference is made from signatures and docstrings whenever the site is built, so that it cannot be out of date.
Links to source files stay readable text on the site; on disk, where the files are, a test checks them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

DOCS = Path(__file__).parent
MODULES = (
    ("turnkey", "What programs use"),
    ("turnkey.navigator", "From model to package"),
    ("turnkey.lexer", "The decorator"),
    ("turnkey.report", "Reports"),
    ("turnkey.measure", "The measuring engine"),
    ("turnkey.pipeline.tool", "Plug-ins: tools"),
    ("turnkey.formats.format", "Plug-ins: formats"),
    ("turnkey.runtimes.runtime", "Plug-ins: runtimes"),
)
_LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?P<target>[^)\s#]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the Python reference."""
    files.append(File.generated(config, "reference/python.md", content=reference()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files outside of ``docs/`` into their text."""
    place = (DOCS / page.file.src_uri).parent

    def shown(match: re.Match[str]) -> str:
        target = match["target"]
        if re.match(r"[a-z]+:", target) or (place / target).resolve().is_relative_to(DOCS):
            return match[0]
        return match["text"]

    return _LINK.sub(shown, markdown)


def reference() -> str:
    """The page: every public name of the public modules with its signature and docstring."""
    parts = ["# Python", "Made from the docstrings when the site is built."]
    for name, title in MODULES:
        module = import_module(name)
        parts += [f"## {title}: `{name}`", *_docstring(module)]
        for public in _public(module):
            parts += list(_entry(f"{name}.{public}", getattr(module, public)))
    return "\n\n".join(parts) + "\n"


def _public(module: Any) -> list[str]:
    listed = getattr(module, "__all__", None)
    if listed is None:
        own = (name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__)
        listed = [name for name in own if not name.startswith("_")]
    return [name for name in listed if not name.startswith("__")]


def _entry(name: str, value: Any) -> Iterator[str]:
    yield f"### `{name}`"
    if inspect.isclass(value) or callable(value):
        with suppress(TypeError, ValueError):  # some built-in callables have no signature
            yield f"```text\n{name.rpartition('.')[2]}{_signature(value)}\n```"
    yield from _docstring(value)


def _signature(value: Any) -> str:
    text = str(inspect.signature(value)).replace("'", "")
    if len(text) <= 88:
        return text
    parameters = ",\n    ".join(re.split(r", (?=[A-Za-z_*]+[:=,)]|\*)", text.partition("(")[2].rpartition(")")[0]))
    return f"(\n    {parameters},\n){text.rpartition(')')[2]}"


def _docstring(value: Any) -> Iterator[str]:
    text = inspect.getdoc(value)
    if text:
        yield f"```text\n{text}\n```"
