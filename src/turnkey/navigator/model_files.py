"""The files of one model in its workspace: which they are, and whether they are those that were made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from turnkey.errors import ConversionError
from turnkey.file_digest import digest_of_files
from turnkey.navigator.status import ModelStatus
from turnkey.navigator.workspace import Workspace


def files_of(path: Path, companions: Sequence[str] = ()) -> list[Path]:
    """A model's file with those without which it cannot be read, the model first.

    Raises:
        ConversionError: there is no such file.
    """
    if not path.is_file():
        raise ConversionError(f"{path.name} was not written", evidence=str(path))
    further = [Path(each) for each in companions]
    if path.suffix == ".onnx":
        from turnkey.formats.onnx_file import external_files

        further += [Path(each) for each in external_files(path)]
    return [path, *sorted({each for each in further if each != path})]


def file_of(model: ModelStatus, workspace: Workspace) -> Path | None:
    """The model's file (of a SavedModel the graph in its directory); None for a source in memory."""
    if model.model_config.format.is_source:
        return None
    return workspace.path / (model.files[0] if model.files else model.model_config.path)


def is_intact(model: ModelStatus, workspace: Workspace) -> bool:
    """Whether the files are those that the conversion left; a model that failed has none to look at."""
    if not model.files:
        return True
    files = [workspace.path / each for each in model.files]
    return all(each.is_file() for each in files) and digest_of_files(files).sha256 == model.sha256
