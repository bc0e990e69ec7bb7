"""Manifests of archives: what is inside, with the SHA-256 and the size of every member, and the comparison with them.

``{"schema": 1, "tool": "turnkey 1.0", …, "members": {name: {"sha256": …, "size_bytes": …}}}``. Forbidden: a member
that the manifest does not list, one that it lists and that is not there, bytes that it does not describe.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.file_digest import digest_of_files
from turnkey.navigator.exceptions import BackwardCompatibilityError
from turnkey.pipeline.archive import Archive
from turnkey.version import __version__

SCHEMA = 1
_LIMIT_BYTES = 16 << 20


def manifest_of(members: Mapping[str, Path], **facts: Any) -> bytes:
    """The manifest of files by their names in an archive; ``facts`` are further plain data for its reader."""
    described = {}
    for name, file in sorted(members.items()):
        digest, size_bytes = digest_of_files([file])
        described[name] = {"sha256": digest, "size_bytes": size_bytes}
    content = {"schema": SCHEMA, "tool": f"turnkey {__version__}", **facts, "members": described}
    return json.dumps(content, indent=1).encode()


def checked_manifest(archive: Archive, name: str, *, what: str) -> dict[str, Any]:
    """The manifest of an archive, after every member was compared with it.

    Args:
        name: of the manifest's own member.
        what: the archive is, for messages: ``package``.

    Raises:
        ArtifactError: it cannot be read, or the members are not those that it describes.
        BackwardCompatibilityError: it is of another schema.
    """
    try:
        manifest: dict[str, Any] = json.loads(archive.read(name, limit_bytes=_LIMIT_BYTES))
        schema = manifest["schema"]
        expected = {
            str(member): (str(each["sha256"]), int(each["size_bytes"])) for member, each in manifest["members"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise refusal(archive, f"{name}: {type(error).__name__}: {error}", what=what) from error
    if schema != SCHEMA:
        raise BackwardCompatibilityError(
            f"this {what} has a manifest that cannot be read",
            evidence=f"{archive.path}: schema {schema!r}; this Turnkey reads {SCHEMA}",
        )
    there = set(archive.names) - {name}
    if there != set(expected):
        odd = sorted(there ^ set(expected))[0]
        where = "is not in the manifest" if odd in there else "is missing"
        raise refusal(archive, f"{odd} {where}", what=what)
    for member in archive.members:
        if member.name == name:
            continue
        digest, size_bytes = expected[member.name]
        if member.size_bytes != size_bytes or archive.sha256(member.name) != digest:
            raise refusal(archive, f"{member.name} is not what the manifest says", what=what)
    return manifest


def refusal(archive: Archive, reason: str, *, what: str) -> ArtifactError:
    """The error for an archive that must not be used."""
    return ArtifactError(
        f"this {what} cannot be used",
        evidence=f"{archive.path}: {reason}",
        remedy="get it again from where it was made",
    )
