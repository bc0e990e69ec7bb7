"""Several artifacts as one: rows side by side, runs numbered anew, every model once.

Artifacts come in the order of their last writing, so that the newest row of a class is the last. A file that two of
them have is packed once; another one of the same name gets the next free name, ``Net-2.onnx``, and so do its external
data and its samples. ``[[sources]]`` keeps where each run comes from, with the environment it was measured in; what
all sources agree on stands in ``[environment]`` and ``[lineage]``.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, UsageError
from turnkey.lexer.artifact import LexerArtifact, load, mapping_at, mappings_at
from turnkey.lexer.member_names import MemberNames, artifact_stem
from turnkey.lexer.metadata import GENERATOR, SCHEMA_VERSION, moment_text
from turnkey.lexer.packing import digest, write_lexer
from turnkey.lexer.result_table import csv_text
from turnkey.lexer.row import BenchmarkRow
from turnkey.lexer.toml_text import Commented
from turnkey.pipeline.archive import read_archive
from turnkey.pipeline.source_file import file_sha256
from turnkey.settings import absolute_path
from turnkey.version import __version__

_OF_A_MODEL = (".onnx", ".onnx.data", ".samples.json", ".samples.npz")
_DOCUMENTED = ("python_version", "system", "release")
_SEVERAL = "several"


def merge(paths: Sequence[str | Path], output: str | Path) -> LexerArtifact:
    """Write one artifact with everything that several hold, and read it.

    Args:
        paths: two or more, ours or of the original, whose values are brought to today's units.
        output: where the new one goes; its directory is made.

    Raises:
        UsageError: fewer than two files, one given twice, an output that exists or whose name cannot be a file's.
        InputError: a file cannot be read, or the output cannot be written.
        ArtifactError: a file is hostile, damaged, or of a schema that this version does not know.
    """
    places = [Path(path) for path in paths]
    if len(places) < 2 or len({os.path.realpath(place) for place in places}) < len(places):
        raise UsageError(
            "merging takes two artifacts or more, each once",
            evidence=", ".join(map(str, places)) or "no file",
            remedy="turnkey lexer merge a.lexer b.lexer -o both.lexer",
        )
    target = absolute_path(output)
    target = target.with_name(f"{artifact_stem(target.name)}.lexer")
    if target.exists():
        raise UsageError(
            f"{target.name} exists, and merging replaces nothing", evidence=str(target), remedy="give another name"
        )
    artifacts = sorted(map(load, places), key=lambda each: str(each.metadata.get("updated_at", "")))
    for artifact in artifacts:
        _require_sound(artifact)
    with tempfile.TemporaryDirectory(prefix="turnkey-lexer-merge-") as scratch:
        merged = _Merged()
        for number, artifact in enumerate(artifacts):
            merged.add(artifact, Path(scratch) / str(number))
        tables = {name: csv_text(rows).encode() for name, rows in merged.tables.items()}
        samples = {name: file for name, file in merged.files.items() if ".samples." in name}
        others = {name: file for name, file in merged.files.items() if name not in samples}
        write_lexer(
            target, {**others, **tables, **samples}, lambda files: merged.document(target.name, artifacts, files)
        )
    return load(target)


def _require_sound(artifact: LexerArtifact) -> None:
    reason = ""
    if artifact.metadata.get("schema_version", SCHEMA_VERSION) != SCHEMA_VERSION:
        reason = f"its schema is version {artifact.metadata['schema_version']!r}, known is {SCHEMA_VERSION}"
    elif nested := [member.name for member in artifact.members if "/" in member.name]:
        reason = f"artifacts are flat, and it has {nested[0]}"
    elif damaged := artifact.damaged():
        reason = f"not of the recorded digests: {', '.join(damaged)}"
    if reason:
        raise ArtifactError(
            f"{artifact.path.name} is not merged", evidence=f"{artifact.path}: {reason}", remedy="fetch it again"
        )


@dataclass(slots=True)
class _Merged:
    """What was taken over so far.

    Attributes:
        files: of the new archive, by name, without tables and metadata.
        tables: rows by name of the CSV file.
        configs: the documented tables ``benchmark`` and ``export`` of the newest source that has them.
    """

    files: dict[str, bytes | Path] = field(default_factory=dict)
    tables: dict[str, list[BenchmarkRow]] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    sources: list[dict[str, Any]] = field(default_factory=list)
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)
    _names: MemberNames = field(default_factory=MemberNames)
    _placed: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    """Stem of the new name and digests of the files, by stem without regard to case."""

    def add(self, artifact: LexerArtifact, scratch: Path) -> None:
        """Take over one artifact, whose files are unpacked into ``scratch``."""
        renamed = self._add_files(artifact, scratch)
        metadata = _plain(artifact)
        first = len(self.sources)
        nested = mappings_at(metadata, "sources")
        self.sources += nested or [_source(artifact, metadata)]
        numbers = self._add_runs(artifact, mappings_at(metadata, "runs"), renamed, first)
        for row in artifact:
            name = f"{self._names.stem(row.class_name)}.csv"
            self.tables.setdefault(name, []).append(replace(row, run=numbers[row.run]))
        for model in mappings_at(mapping_at(metadata, "lineage"), "models"):
            moved = {**model, "file": renamed.get(str(model.get("file")), model.get("file"))}
            if moved not in self.models:
                self.models.append(moved)
        for kind in ("benchmark", "export"):
            config = mapping_at(mapping_at(metadata, kind), "config")
            if config:
                inner = mapping_at(config, "output_config_internal")
                name = str(inner.get("onnx_output_filename", ""))
                self.configs[kind] = {
                    "config": {
                        **config,
                        "output_config_internal": {**inner, "onnx_output_filename": renamed.get(name, name)},
                    }
                }

    def _add_runs(
        self, artifact: LexerArtifact, runs: Sequence[Mapping[str, Any]], renamed: Mapping[str, str], first: int
    ) -> dict[int, int]:
        """Take over the runs; returns their new numbers. Rows of the original, which records no runs, get one."""
        known = {run["number"]: run for run in runs if isinstance(run.get("number"), int)}
        classes = {row.run: row.class_name for row in artifact}
        numbers: dict[int, int] = {}
        for old in sorted({*known, *classes}):
            run = dict(known.get(old, {"kind": "benchmark", "class_name": classes.get(old, "")}))
            numbers[old] = len(self.runs) + 1
            source = run.get("source")
            inner = source if isinstance(source, int) and 0 <= source < len(self.sources) - first else 0
            run |= {"number": numbers[old], "source": first + inner}
            if "csv" in run and old in classes:
                run["csv"] = f"{self._names.stem(classes[old])}.csv"
            export = mapping_at(run, "export")
            if export:
                moved = {
                    key: renamed.get(str(export[key]), export[key]) for key in ("path", "samples") if key in export
                }
                run["export"] = {**export, **moved}
            self.runs.append(run)
        return numbers

    def _add_files(self, artifact: LexerArtifact, scratch: Path) -> dict[str, str]:
        """Take over all but tables and metadata; returns their new names."""
        wanted = [m.name for m in artifact.members if not m.name.lower().endswith((".csv", ".toml"))]
        with read_archive(artifact.path) as archive:
            places = archive.extract(scratch, wanted)
        groups: dict[str, dict[str, Path]] = {}
        renamed: dict[str, str] = {}
        for name, place in places.items():
            suffix = max((each for each in _OF_A_MODEL if name.endswith(each)), key=len, default="")
            if suffix:
                groups.setdefault(name.removesuffix(suffix), {})[suffix] = place
            elif name in self.files and digest(self.files[name]) != file_sha256(place):
                raise ArtifactError(
                    f"{artifact.path.name} is not merged", evidence=f"another artifact has another {name}"
                )
            else:
                self.files[name] = place
        for stem, group in groups.items():
            new = self._place(stem, group)
            renamed |= {f"{stem}{suffix}": f"{new}{suffix}" for suffix in group}
        return renamed

    def _place(self, stem: str, group: Mapping[str, Path]) -> str:
        """Take over the files of one model, under its stem or the next free one; returns that."""
        digests = {suffix: file_sha256(place) for suffix, place in group.items()}
        model = _model_of(digests)
        for key, (name, others) in self._placed.items():
            if model and model == _model_of(others):
                self.files.update({f"{name}{suffix}": group[suffix] for suffix in group.keys() - others.keys()})
                self._placed[key] = (name, {**digests, **others})
                return name
        new, count = stem, 1
        while new.casefold() in self._placed:
            count += 1
            new = f"{stem}-{count}"
        self._placed[new.casefold()] = (new, digests)
        places = dict(group)
        if new != stem and ".onnx.data" in group and ".onnx" in group:
            from turnkey.formats.onnx_file import copy_model, data_path_of

            moved = group[".onnx"].parent / "renamed" / f"{new}.onnx"
            moved.parent.mkdir(exist_ok=True)
            copy_model(group[".onnx"], moved)  # the model names its data
            places |= {".onnx": moved, ".onnx.data": data_path_of(moved)}
        self.files.update({f"{new}{suffix}": place for suffix, place in places.items()})
        return new

    def document(
        self, title: str, artifacts: Sequence[LexerArtifact], files: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        """The metadata of the new artifact."""
        now = moment_text(datetime.now(UTC))
        created = [text for each in artifacts if isinstance(text := each.metadata.get("created_at"), str)]
        environments = [mapping_at(source, "environment") for source in self.sources]
        lineages = [mapping_at(source, "lineage") for source in self.sources]
        agreed = _common(environments)
        tags: dict[str, Any] = {key: value for each in lineages for key, value in mapping_at(each, "tags").items()}
        return {
            "title": title,
            "created_at": Commented(min(created, default=now), "in UTC"),
            "updated_at": Commented(now, "in UTC"),
            "schema_version": SCHEMA_VERSION,
            "generator": GENERATOR,
            "environment": {
                "lexer_sdk_version": __version__,
                **{key: agreed.get(key, _SEVERAL) for key in _DOCUMENTED},
                **{key: value for key, value in agreed.items() if key not in ("lexer_sdk_version", *_DOCUMENTED)},
            },
            **{kind: self.configs[kind] for kind in ("benchmark", "export") if kind in self.configs},
            "runs": self.runs,
            "files": list(files),
            "lineage": {
                **{key: value for key, value in _common(lineages).items() if key != "tags"},
                "models": self.models,
                "tags": tags,
            },
            "sources": self.sources,
        }


def _model_of(digests: Mapping[str, str]) -> dict[str, str]:
    """What tells one model from another: not its samples."""
    return {suffix: text for suffix, text in digests.items() if suffix.startswith(".onnx")}


def _source(artifact: LexerArtifact, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Where runs come from: the file, and what holds for all of it."""
    lineage = mapping_at(metadata, "lineage")
    return {
        "title": artifact.title,
        "sha256": file_sha256(artifact.path),
        **{key: metadata[key] for key in ("created_at", "updated_at") if key in metadata},
        "environment": artifact.environment,
        "lineage": {key: value for key, value in lineage.items() if key != "models"},
    }


def _common(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all tables agree on."""
    return {key: value for key, value in tables[0].items() if all(each.get(key) == value for each in tables)}


def _plain(artifact: LexerArtifact) -> dict[str, Any]:
    """Metadata in the kinds of JSON: a file from elsewhere may hold dates, which ours does not."""
    try:
        found: dict[str, Any] = json.loads(json.dumps(dict(artifact.metadata), default=str))
    except RecursionError as error:
        raise ArtifactError(
            f"{artifact.path.name} is not merged", evidence="its metadata is nested too deep"
        ) from error
    return found
