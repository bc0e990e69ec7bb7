"""Reading a ``.lexer`` artifact, ours or one of the original, without trusting a byte of it."""

from __future__ import annotations

import dataclasses
import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import ArtifactError
from turnkey.lexer import table
from turnkey.lexer.metadata import SCHEMA_VERSION
from turnkey.lexer.report import HEADINGS, BenchmarkReport
from turnkey.lexer.result_table import read_rows
from turnkey.lexer.row import BenchmarkRow
from turnkey.pipeline.archive import Archive, Member, read_archive
from turnkey.pipeline.printable import printable

if TYPE_CHECKING:
    from turnkey.lexer.comparison import Difference
    from turnkey.lexer.reverification import Reverification

_TOML_LIMIT_BYTES = 16 << 20
_CSV_LIMIT_BYTES = 64 << 20


class LexerArtifact(Sequence[BenchmarkRow]):
    """What an artifact holds: a sequence of its result rows, with metadata beside. Nothing of it was run.

    Attributes:
        path: of the file.
        metadata: the content of its TOML file.
        rows: of all CSV files, in the order of the members.
        members: names and sizes.
        notes: what a reader must know, such as values that were brought to today's units.
    """

    def __init__(
        self,
        path: Path,
        *,
        metadata: Mapping[str, Any],
        rows: Sequence[BenchmarkRow],
        members: Sequence[Member],
        notes: Sequence[str],
    ) -> None:
        self.path = path
        self.metadata = metadata
        self.rows = tuple(rows)
        self.members = tuple(members)
        self.notes = tuple(notes)

    def __getitem__(self, index: Any) -> Any:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[BenchmarkRow]:
        return iter(self.rows)

    def __bool__(self) -> bool:
        return True  # an artifact without rows is one

    @property
    def is_original(self) -> bool:
        """Whether the original software wrote it."""
        return is_original(self.metadata)

    @property
    def title(self) -> str:
        return str(self.metadata.get("title", self.path.name))

    @property
    def environment(self) -> dict[str, Any]:
        return mapping_at(self.metadata, "environment")

    @property
    def tags(self) -> dict[str, Any]:
        return mapping_at(mapping_at(self.metadata, "lineage"), "tags")

    @property
    def runs(self) -> list[dict[str, Any]]:
        """``[[runs]]``: one entry per call; empty in artifacts of the original."""
        return mappings_at(self.metadata, "runs")

    @property
    def models(self) -> list[dict[str, Any]]:
        """``[[lineage.models]]``: signature and hashes of each model; empty in artifacts of the original."""
        return mappings_at(mapping_at(self.metadata, "lineage"), "models")

    @property
    def files(self) -> list[dict[str, Any]]:
        """``[[files]]``: name, size and digest of every other member; empty in artifacts of the original."""
        return mappings_at(self.metadata, "files")

    def processor_of(self, row: BenchmarkRow) -> str | None:
        """What a row was measured on; merged artifacts have several."""
        sources = mappings_at(self.metadata, "sources")
        source = next((run.get("source") for run in self.runs if run.get("number") == row.run), None)
        environment = self.environment
        if isinstance(source, int) and 0 <= source < len(sources):
            environment = mapping_at(sources[source], "environment")
        processor = environment.get("processor")
        return None if processor is None else str(processor)

    def model_of(self, row: BenchmarkRow) -> dict[str, Any]:
        """The lineage of the model that a row measured; empty where that is not known."""
        weights = next((run.get("weights_hash") for run in self.runs if run.get("number") == row.run), None)
        named = [each for each in self.models if each.get("class_name") == row.class_name]
        return next((each for each in named if each.get("weights_hash") == weights), {})

    def damaged(self) -> tuple[str, ...]:
        """Members that are missing, extra, or not of the recorded digest; nothing where no digests are recorded."""
        recorded = {str(entry.get("name")): str(entry.get("sha256")) for entry in self.files}
        if not recorded:
            return ()
        with read_archive(self.path) as archive:
            found = {name: archive.sha256(name) for name in archive.names if not _is_metadata(name)}
        return tuple(sorted(n for n in {*recorded, *found} if recorded.get(n) != found.get(n)))

    def verify(self) -> list[Reverification]:
        """Run every ONNX file on the samples that it was validated with, and compare. The file's author is trusted
        no further than ONNX Runtime trusts a file."""
        from turnkey.lexer.reverification import reverify

        return reverify(self)

    def compare(self, other: LexerArtifact) -> list[Difference]:
        """How this artifact's engines compare to those of an earlier one."""
        from turnkey.lexer.comparison import compare

        return compare(other, self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "path": str(self.path),
            "title": self.title,
            "original": self.is_original,
            "members": [{"name": member.name, "bytes": member.size_bytes} for member in self.members],
            "rows": [row.to_dict() for row in self.rows],
            "metadata": json.loads(json.dumps(dict(self.metadata), default=str)),
            "notes": list(self.notes),
        }

    def to_dataframe(self) -> Any:
        """One row per result. Raises MissingDependencyError without pandas."""
        return table.data_frame([row.to_dict() for row in self.rows])

    def __str__(self) -> str:
        return printable("\n".join([*self._heading(), "", *self._tables(), *self.notes]), keep="\n")

    def __repr__(self) -> str:
        return f"<LexerArtifact {self.path.name}: {len(self.members)} members, {len(self.rows)} rows>"

    def __rich__(self) -> Any:
        """A table for rich consoles."""
        cells = [
            [printable(cell, keep="\n") for cell in line] for line in BenchmarkReport(self.rows, class_name="").cells()
        ]
        return table.rich_table(HEADINGS, cells, title=printable("\n".join(self._heading()), keep="\n"))

    def _heading(self) -> list[str]:
        machine = self.environment
        software = "Lexer" if self.is_original else "Turnkey"
        facts = [
            f"{self.title}, written by {software} {machine.get('lexer_sdk_version', '?')}",
            f"created {self.metadata.get('created_at', '?')}, updated {self.metadata.get('updated_at', '?')}",
            f"Python {machine.get('python_version', '?')}, {machine.get('system', '?')} {machine.get('release', '?')}"
            + (f", {machine['processor']}" if machine.get("processor") else ""),
            *(f"model {m.get('class_name')}: weights {m.get('weights_hash')}" for m in self.models),
            *([f"tags: {', '.join(f'{key}={value}' for key, value in self.tags.items())}"] if self.tags else []),
            *(f"  {member.size_bytes:>12,}  {member.name}" for member in self.members),
        ]
        return [str(fact) for fact in facts]

    def _tables(self) -> list[str]:
        names = dict.fromkeys(row.class_name for row in self.rows)
        shown = []
        for name in names:
            rows = [row for row in self.rows if row.class_name == name]
            report = BenchmarkReport(rows, class_name=name)
            shown += [f"{name}:", table.plain_table(HEADINGS, report.cells()), *report.remarks, ""]
        return shown


def load(path: str | Path) -> LexerArtifact:
    """Read an artifact.

    Raises:
        InputError: there is no such file.
        ArtifactError: it is no archive, is hostile or damaged, or is no Lexer artifact.
    """
    path = Path(path)
    with read_archive(path) as archive:
        metadata = _metadata(archive)
        version = metadata.get("schema_version", SCHEMA_VERSION)
        original = is_original(metadata)
        notes = []
        if version != SCHEMA_VERSION:
            notes.append(f"its schema is version {version}: only the documented tables are understood here")
        rows: list[BenchmarkRow] = []
        for name in archive.names:
            if name.lower().endswith(".csv"):
                rows += _rows(archive, name, is_original=original)
        if original and rows:
            notes.append("written by the original software: its variances, s², are shown as ms²")
        rows = _with_units(rows, mappings_at(metadata, "runs"))
        return LexerArtifact(path, metadata=metadata, rows=rows, members=archive.members, notes=notes)


def is_original(metadata: Mapping[str, Any]) -> bool:
    """Whether the original software wrote this metadata: it names no generator."""
    return "generator" not in metadata


def mapping_at(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A table of metadata that may be anything; empty if it is none."""
    found = content.get(key)
    return found if isinstance(found, dict) else {}


def mappings_at(content: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """An array of tables of metadata that may be anything."""
    found = content.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _metadata(archive: Archive) -> dict[str, Any]:
    names = [name for name in archive.names if _is_metadata(name)]
    if len(names) != 1:
        raise _refuse(archive.path, f"it has {len(names)} TOML files instead of one: {', '.join(names) or 'none'}")
    try:
        return tomllib.loads(archive.text(names[0], limit_bytes=_TOML_LIMIT_BYTES))
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise _refuse(archive.path, f"{names[0]}: {error}") from error


def _is_metadata(name: str) -> bool:
    return name.lower().endswith(".toml") and "/" not in name


def _rows(archive: Archive, name: str, *, is_original: bool) -> list[BenchmarkRow]:
    text = archive.text(name, limit_bytes=_CSV_LIMIT_BYTES)
    try:
        return list(read_rows(text, class_name=name[: -len(".csv")], is_original=is_original))
    except ValueError as error:
        raise _refuse(archive.path, f"{name}: {error}") from error


def _with_units(rows: Sequence[BenchmarkRow], runs: Sequence[Mapping[str, Any]]) -> list[BenchmarkRow]:
    """Rows with the units that comparisons rest on, which the metadata keeps."""
    units: dict[tuple[int, str], tuple[float, ...]] = {}
    for run in runs:
        for entry in mappings_at(run, "rows"):
            number, engine, logs = run.get("number"), entry.get("engine"), entry.get("log_ns")
            if not isinstance(number, int) or not isinstance(engine, str) or not isinstance(logs, list):
                continue
            if all(isinstance(value, float) and math.isfinite(value) for value in logs):
                units[number, engine] = tuple(logs)
    return [dataclasses.replace(row, units=units.get((row.run, row.engine), ())) for row in rows]


def _refuse(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        f"{path.name} is no Lexer artifact that can be read",
        evidence=f"{path}: {reason}",
        remedy="fetch it again, or flush it again from where it was made",
    )
