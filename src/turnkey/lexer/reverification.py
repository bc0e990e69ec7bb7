"""Verifying an artifact again: its ONNX files still compute what PyTorch computed when they were made.

The samples that a file was validated with travel beside it. Everything is unpacked into a private directory and
checked there before it is loaded: names and sizes by the archive's reader, external data by that of ONNX files, arrays
by that of samples.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import TurnkeyError
from turnkey.lexer.artifact import mapping_at
from turnkey.lexer.limits import recorded_limits
from turnkey.pipeline.archive import Archive, read_archive

if TYPE_CHECKING:
    from turnkey.lexer.artifact import LexerArtifact
    from turnkey.lexer.onnx_export import OutputCheck

_NO_PART_OF_A_MODEL = (".csv", ".toml", ".samples.json", ".samples.npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reverification:
    """One ONNX file of an artifact.

    Attributes:
        name: of the member.
        verdict: ``pass``, ``fail``, ``unproven``, ``no samples`` (nothing to run it on), or ``refused`` (it cannot be
            read or run).
        outputs: one check per output, where it ran.
        reason: why it is not ``pass``; empty if it is.
    """

    name: str
    verdict: str
    outputs: tuple[OutputCheck, ...] = ()
    reason: str = ""

    @property
    def is_wrong(self) -> bool:
        return self.verdict in ("fail", "refused")

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        worst = max((each.max_abs_error for each in self.outputs if each.max_abs_error is not None), default=None)
        error = "" if worst is None else f", largest error {worst:.2g}"
        return f"{self.name}: {self.verdict}{error}" + (f"; {self.reason}" if self.reason else "")


def reverify(artifact: LexerArtifact) -> list[Reverification]:
    """Run every ONNX file of an artifact on its samples, with the limits it was validated by.

    Raises:
        ArtifactError: the archive itself is damaged.
    """
    exports: dict[str, dict[str, Any]] = {}
    for run in artifact.runs:
        export = mapping_at(run, "export")
        exports[str(export.get("path"))] = {**export, "settings": mapping_at(run, "settings")}
    with read_archive(artifact.path) as archive, tempfile.TemporaryDirectory(prefix="turnkey-lexer-") as scratch:
        flat = [name for name in archive.names if "/" not in name]
        models = [name for name in flat if name.lower().endswith(".onnx")]
        wanted = [name for name in flat if not name.endswith(_NO_PART_OF_A_MODEL)] if models else []
        try:
            places = archive.extract(Path(scratch) / "models", wanted)
        except TurnkeyError as error:
            return [_refused(name, error) for name in models]
        return [
            _reverified(archive, name, exports.get(name, {}), places[name], Path(scratch) / str(number))
            for number, name in enumerate(models)
        ]


def _reverified(archive: Archive, name: str, export: Mapping[str, Any], path: Path, directory: Path) -> Reverification:
    """Verify one unpacked file; its samples are unpacked into ``directory``."""
    from turnkey.formats.onnx_file import check_file
    from turnkey.lexer.onnx_export import judged
    from turnkey.model.samples import read_samples
    from turnkey.runtimes.single_run import outputs_of_file

    index = str(export.get("samples") or "")
    arrays = index.removesuffix(".json") + ".npz"
    try:
        check_file(path)
        if not index or index not in archive or arrays not in archive:
            return Reverification(name=name, verdict="no samples", reason="no inputs were packed with it")
        unpacked = archive.extract(directory, [index, arrays])
        unpacked[index].rename(directory / "samples.json")
        unpacked[arrays].rename(directory / "0.npz")
        samples = read_samples(directory)
        reference = samples.outputs[0]
        if reference is None:
            return Reverification(name=name, verdict="no samples", reason="no outputs were packed with it")
        actual = outputs_of_file(path, samples.inputs[0])
    except TurnkeyError as error:
        return _refused(name, error)
    except Exception as error:  # noqa: BLE001 - ONNX Runtime raises classes without a common base about a bad file
        return Reverification(name=name, verdict="refused", reason=f"{type(error).__name__}: {error}"[:500])
    settings = mapping_at(export, "settings")
    limits = recorded_limits(settings)
    verdict, outputs = judged(reference, actual, limits)
    reasons = [each.reason for each in outputs if each.reason]
    lax = limits.laxer_than_default
    if lax:
        reasons.append(f"judged by its own limits: {', '.join(lax)}")
    return Reverification(name=name, verdict=verdict, outputs=outputs, reason="; ".join(reasons))


def _refused(name: str, error: TurnkeyError) -> Reverification:
    return Reverification(name=name, verdict="refused", reason=f"{error.what}: {error.evidence}")
