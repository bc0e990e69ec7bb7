"""Names and paths as a package stores them: what becomes a part of file names and of the text of scripts."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

_NAME = re.compile(r"\w(?:[\w.+,=:@() -]{0,198}[\w+)-])?")
"""Of models, runners and commands."""


def safe_relative(text: Any) -> str:
    """A path inside a package as it is stored.

    Raises:
        ValueError: it is absolute, climbs, or is no plain text.
    """
    if not isinstance(text, str) or "\\" in text or "\0" in text:
        raise ValueError(f"a path {text!r}")
    pure = PurePosixPath(text)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(f"the path {text!r} leaves the package")
    return text


def safe_name(text: Any) -> str:
    """The name of a model, runner or command as it is stored.

    Raises:
        ValueError: it could not be a part of a file name, or would not stay text in a script.
    """
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"a name {text!r}")
    return text
