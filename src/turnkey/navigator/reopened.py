"""A package as the steps of a run start from it: its samples, metadata and source, as far as they are there."""

from __future__ import annotations

from turnkey.navigator.format import Format
from turnkey.navigator.package_result import Package, source_format_of
from turnkey.navigator.preparation import Prepared, stored
from turnkey.navigator.source import Source
from turnkey.navigator.stored_metadata import metadata_of
from turnkey.navigator.workspace import Workspace


def reopened(package: Package) -> tuple[Workspace, Prepared]:
    """The workspace of a package, and what was prepared in it. The source model is the one that is attached, if any.

    Raises:
        NotFoundError: the package holds no samples.
        ArtifactError: its samples cannot be read.
    """
    workspace = Workspace(package.workspace)
    kind = source_format_of(package) or Format.PYTHON
    source = Source(model=package.model, format=kind, structure=package.structure)
    return workspace, stored(source, metadata_of(package.status), workspace)
