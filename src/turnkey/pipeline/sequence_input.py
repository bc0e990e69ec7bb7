"""What a state says of its input."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnkey.errors import InputError
from turnkey.pipeline import durable
from turnkey.pipeline.source_file import file_sha256


def describe_input(path: Path, *, target: str | None, first: Mapping[str, Any]) -> dict[str, Any]:
    """``State.input``: absolute path, digest, the hash that the user gave, script arguments.

    Args:
        first: arguments of the first tool. Files that the script imports are added by discovery.

    Raises:
        InputError: the file cannot be read.
    """
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise InputError(f"{path.name} is not a regular file", evidence=str(path), remedy="name a file")
    try:
        digest = file_sha256(path)
    except OSError as error:
        raise durable.cannot_read(path, error) from error
    return {
        "path": str(path),
        "sha256": digest,
        "hash": target,
        "script_args": str(first.get("script_args") or ""),
        "imported": {},
    }
