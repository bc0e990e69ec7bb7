"""``nav.bundle``: optimised forms of in-place modules as one file, for another process or machine like this one."""

from __future__ import annotations

import fnmatch
import platform
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import ArtifactError
from turnkey.navigator.format import Format
from turnkey.navigator.inplace_settings import inplace_config
from turnkey.navigator.manifest import checked_manifest, manifest_of, refusal
from turnkey.navigator.typed_record import mapping, sequence, typed
from turnkey.pipeline.archive import Archive, read_archive, write_archive

MANIFEST = "bundle.json"
_OF_ENGINES = ("gpu", "cuda", "tensorrt")
"""What engines of TensorRT depend on beside the operating system."""
_ENGINES = (Format.TENSORRT.suffix, Format.TORCH_TRT.suffix)


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
    facts = {"tags": sorted(set(tags or ())), "environment": _environment(), "engines": _holds_engines(members)}
    content: dict[str, bytes | Path] = {MANIFEST: manifest_of(members, **facts), **members}
    write_archive(Path(bundle_path), content)


def load(bundle_path: str | Path, tags: Iterable[str] | None = None, force: bool = False) -> None:
    """Unpack a bundle into the cache; modules that are there already stay unless ``force`` is given.

    Raises:
        ArtifactError: it was tampered with, or does not match this machine or the tags.
    """
    root = inplace_config.directory
    with read_archive(Path(bundle_path)) as archive:
        manifest = _checked(archive)
        if not force and (reasons := _obstacles(manifest, tags)):
            raise ArtifactError(
                "this bundle is for another machine or purpose",
                evidence="; ".join(reasons),
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
    """Whether a bundle is of this kind of machine and has all of the tags. Raises ArtifactError if it is none.

    The kind of machine is operating system and architecture; where engines of TensorRT are inside, also the GPU, and
    major and minor version of CUDA and TensorRT.
    """
    with read_archive(Path(bundle_path)) as archive:
        return not _obstacles(_checked(archive), tags)


def _checked(archive: Archive) -> dict[str, Any]:
    """The manifest, after every member was compared with it."""
    manifest = checked_manifest(archive, MANIFEST, what="bundle")
    try:
        manifest["tags"] = [typed(str, tag, "tags") for tag in sequence(manifest["tags"])]
        manifest["environment"] = mapping(manifest["environment"])
        typed(bool, manifest["engines"], "engines")
    except (ValueError, KeyError) as error:
        raise refusal(archive, f"{MANIFEST}: {error}", what="bundle") from error
    return manifest


def _obstacles(manifest: dict[str, Any], tags: Iterable[str] | None) -> list[str]:
    """What keeps a bundle from being used here."""
    there, here = manifest["environment"], _environment()
    compared = ("os", "machine", *(_OF_ENGINES if manifest["engines"] else ()))
    found = [
        f"{name}: made on {there.get(name)}, this is {here[name]}"
        for name in compared
        if there.get(name) != here[name]
    ]
    missing = sorted(set(tags or ()) - set(manifest["tags"]))
    return found + ([f"it has not the tags {', '.join(missing)}"] if missing else [])


def _holds_engines(members: Iterable[str]) -> bool:
    return any(name.endswith(_ENGINES) for name in members)


def _environment() -> dict[str, str | None]:
    """What a bundle depends on; versions are major and minor, null where there is nothing of the kind."""
    import torch

    gpus, _ = host.gpus()
    try:
        tensorrt: str | None = version("tensorrt")
    except PackageNotFoundError:
        tensorrt = None
    return {
        "os": platform.system(),
        "machine": platform.machine(),
        "gpu": gpus[0].name if gpus else None,
        "cuda": _minor(torch.version.cuda),
        "tensorrt": _minor(tensorrt),
    }


def _minor(text: str | None) -> str | None:
    return None if text is None else ".".join(text.split(".")[:2])
