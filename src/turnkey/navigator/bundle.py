"""``nav.bundle``: optimised forms of in-place modules as one file, for another process or machine like this one."""

from __future__ import annotations

import fnmatch
import json
import platform
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.navigator.inplace_settings import inplace_config
from turnkey.navigator.workbench import digest_of
from turnkey.pipeline.archive import Archive, read_archive, write_archive
from turnkey.version import __version__

MANIFEST = "bundle.json"
SCHEMA = 1
_LIMIT_BYTES = 16 << 20


def save(
    bundle_path: str | Path,
    modules: Sequence[str] | None = None,
    tags: Iterable[str] | None = None,
    include_patterns: Sequence[str] | None = None,
    exclude_patterns: Sequence[str] | None = None,
) -> None:
    """Write the optimised modules of the cache to one file.

    Args:
        modules: names; None takes all.
        tags: what the bundle is for; `load` and `is_matching` ask for them.
        include_patterns, exclude_patterns: of member names (``encoder/*``), as in shells.

    Raises:
        InputError: the file cannot be written.
    """
    root = inplace_config.directory
    members: dict[str, Path] = {}
    for file in sorted(root.rglob("*")) if root.is_dir() else ():
        name = file.relative_to(root).as_posix()
        if not file.is_file() or file.is_symlink() or name.endswith((".lock", ".tmp")):
            continue
        if modules is not None and name.partition("/")[0] not in modules:
            continue
        included = not include_patterns or any(fnmatch.fnmatch(name, each) for each in include_patterns)
        excluded = any(fnmatch.fnmatch(name, each) for each in exclude_patterns or ())
        if included and not excluded:
            members[name] = file
    manifest = {
        "schema": SCHEMA,
        "tool": f"turnkey {__version__}",
        "tags": sorted(set(tags or ())),
        "environment": _environment(),
        "members": {name: digest_of([file])[0] for name, file in members.items()},
    }
    content: dict[str, bytes | Path] = {MANIFEST: json.dumps(manifest, indent=1).encode(), **members}
    write_archive(Path(bundle_path), content, keep_order=True)


def load(bundle_path: str | Path, tags: Iterable[str] | None = None, force: bool = False) -> None:
    """Unpack a bundle into the cache; modules that are there already stay unless ``force`` is given.

    Raises:
        ArtifactError: it was tampered with, or does not match this machine or the tags.
    """
    root = inplace_config.directory
    with read_archive(Path(bundle_path)) as archive:
        manifest = _manifest(archive)
        if not force and not _matches(manifest, tags):
            raise ArtifactError(
                "this bundle is for another machine or purpose",
                evidence=f"{manifest['environment']}, tags {manifest['tags']}; here {_environment()}",
                remedy="bundle.load(…, force=True)",
            )
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root, prefix=".unpacking-") as scratch:
            archive.extract(Path(scratch), [name for name in archive.names if name != MANIFEST])
            for entry in sorted(Path(scratch).iterdir()):
                target = root / entry.name
                if target.exists() and not force:
                    continue
                if target.exists():
                    shutil.rmtree(target)
                entry.rename(target)


def is_matching(bundle_path: str | Path, tags: Iterable[str] | None = None) -> bool:
    """Whether a bundle is of this kind of machine and has all of the tags. Raises ArtifactError if it is none."""
    with read_archive(Path(bundle_path)) as archive:
        return _matches(_manifest(archive), tags)


def _manifest(archive: Archive) -> dict[str, Any]:
    """The manifest, after every member was compared with it."""
    try:
        manifest: dict[str, Any] = json.loads(archive.read(MANIFEST, limit_bytes=_LIMIT_BYTES))
        members = dict(manifest["members"])
        schema, _ = manifest["schema"], manifest["environment"]
        manifest["tags"] = [str(tag) for tag in manifest["tags"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ArtifactError("this is no bundle", evidence=f"{archive.path}: {error}") from error
    if schema != SCHEMA:
        raise ArtifactError("this bundle is of another version", evidence=f"schema {schema!r}")
    if set(archive.names) - {MANIFEST} != set(members):
        raise ArtifactError("this bundle was changed", evidence=f"{archive.path}: other members than it lists")
    for name, digest in members.items():
        if archive.sha256(name) != digest:
            raise ArtifactError("this bundle was changed", evidence=f"{archive.path}: {name}")
    return manifest


def _matches(manifest: dict[str, Any], tags: Iterable[str] | None) -> bool:
    return manifest["environment"] == _environment() and set(tags or ()) <= set(manifest["tags"])


def _environment() -> dict[str, str]:
    return {"os": platform.system(), "machine": platform.machine()}
