"""The variant that a Model Library Format tarball is among those of a build."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.file_digest import digest_of_files
from turnkey.pipeline.state import Variant
from turnkey.verify import precision_of

if TYPE_CHECKING:
    from turnkey.mlf import Library


def tarball_variant(library: Library, path: Path, *, parent: Variant, build_dir: Path, exporter: str) -> Variant:
    """The variant of a tarball that was made from ``parent``, or carries it.

    Its key says ``int8`` where kernels compute on bytes, since outputs are judged by what the key says: a parent that
    we quantised tells already, one that came quantised does not.

    Args:
        path: of the tarball, inside of ``build_dir``.
    """
    digest = digest_of_files([path])
    on_bytes = any(module.computes_on_bytes for module in library.modules)
    marked = f"{parent.key}-int8" if on_bytes and precision_of(parent.key) is None else parent.key
    return Variant(
        key=f"{marked}-mlf",
        format="mlf",
        path=path.relative_to(build_dir).as_posix(),
        sha256=digest.sha256,
        lineage=(*parent.lineage, parent.key),
        exporter=exporter,
        size_bytes=digest.size_bytes,
    )
