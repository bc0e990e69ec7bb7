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
    found = []
    with read_archive(artifact.path) as archive:
        for name in archive.names:
            if name.lower().endswith(".onnx") and "/" not in name:
                with tempfile.TemporaryDirectory(prefix="turnkey-lexer-") as directory:
                    found.append(_reverified(archive, name, exports.get(name, {}), Path(directory)))
    return found


def _reverified(archive: Archive, name: str, export: Mapping[str, Any], directory: Path) -> Reverification:
    from turnkey.formats.onnx_file import check_file
    from turnkey.lexer.onnx_export import judged, outputs_of_file
    from turnkey.model.samples import read_samples

    index = str(export.get("samples") or "")
    arrays = index.removesuffix(".json") + ".npz"
    try:
        flat = [member for member in archive.names if "/" not in member and not member.endswith((".csv", ".toml"))]
        places = archive.extract(directory, [member for member in flat if member not in (index, arrays)])
        check_file(places[name])
        if not index or index not in archive or arrays not in archive:
            return Reverification(name=name, verdict="no samples", reason="no inputs were packed with it")
        inputs = directory / "samples"
        unpacked = archive.extract(inputs, [index, arrays])
        unpacked[index].rename(inputs / "samples.json")
        unpacked[arrays].rename(inputs / "0.npz")
        samples = read_samples(inputs)
        reference = samples.outputs[0]
        if reference is None:
            return Reverification(name=name, verdict="no samples", reason="no outputs were packed with it")
        actual = outputs_of_file(places[name], samples.inputs[0])
    except TurnkeyError as error:
        return Reverification(name=name, verdict="refused", reason=f"{error.what}: {error.evidence}")
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
