"""Several artifacts as one: nothing is lost, nothing is mixed up, nothing damaged is taken over."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from lexer_artifacts import ORIGINAL_CSV, ORIGINAL_TOML, artifact_of, metadata
from lexer_models import SHORT, Tiny
from torch import nn

from turnkey import LexerContext, turnkeycli
from turnkey.errors import ArtifactError, UsageError
from turnkey.lexer import compare, load, merge
from turnkey.pipeline.archive import read_archive, write_archive


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One model twice and another of the same class; two artifacts."""
    torch.manual_seed(0)
    place = tmp_path_factory.mktemp("parts")
    one, two = Tiny(), Tiny()
    made = []
    for name, models in (("a", [one]), ("b", [two, one])):
        with LexerContext(config={**SHORT, "tags": {"of": name, name: "yes"}}) as context:
            for model in models:
                context.benchmark(model, torch.ones(2, 4))
            made.append(context.flush(name, place))
    return made


@pytest.fixture(scope="module")
def merged(parts: Sequence[Path]) -> Path:
    return merge([*reversed(parts)], parts[0].with_name("both")).path


def test_rows_runs_and_models_stand_side_by_side(parts: Sequence[Path], merged: Path) -> None:
    artifact = load(merged)
    sources = [load(path) for path in parts]

    assert [member.name for member in artifact.members] == [
        *("Tiny.onnx", "Tiny-2.onnx", "Tiny.csv", "Tiny.samples.json", "Tiny.samples.npz"),
        *("Tiny-2.samples.json", "Tiny-2.samples.npz", "both.toml"),
    ]
    assert [row.run for row in artifact] == [1, 1, 2, 2, 3, 3]
    for row, before in zip(artifact, [row for source in sources for row in source], strict=True):
        assert replace(row, run=before.run) == before
        assert row.units == before.units != ()
    assert [(run["number"], run["source"], run["export"]["path"]) for run in artifact.runs] == [
        (1, 0, "Tiny.onnx"),
        (2, 1, "Tiny-2.onnx"),
        (3, 1, "Tiny.onnx"),  # the same model again: packed once
    ]
    assert [(model["file"], model["weights_hash"]) for model in artifact.models] == [
        ("Tiny.onnx", sources[0].models[0]["weights_hash"]),
        ("Tiny-2.onnx", sources[1].models[0]["weights_hash"]),
    ]
    assert artifact.tags == {"of": "b", "a": "yes", "b": "yes"}
    assert artifact.damaged() == ()
    assert [each.verdict for each in artifact.verify()] == ["pass", "pass"]


def test_the_documented_tables_are_those_of_the_newest_and_the_sources_are_told(
    parts: Sequence[Path], merged: Path
) -> None:
    found, first, last = metadata(merged), metadata(parts[0]), metadata(parts[1])

    assert (found["title"], found["created_at"]) == ("both.lexer", first["created_at"])
    assert found["benchmark"]["config"]["output_config_internal"]["onnx_output_filename"] == "Tiny.onnx"
    assert last["benchmark"]["config"]["output_config_internal"]["onnx_output_filename"] == "Tiny-2.onnx"
    assert found["environment"] == first["environment"]
    assert [source["title"] for source in found["sources"]] == ["a.lexer", "b.lexer"]
    assert found["sources"][1]["lineage"]["tags"] == {"of": "b", "b": "yes"}


def test_merging_a_merged_artifact_keeps_its_sources(parts: Sequence[Path], merged: Path, tmp_path: Path) -> None:
    original = artifact_of(tmp_path / "old.lexer", {"Tiny.csv": ORIGINAL_CSV, "old.toml": ORIGINAL_TOML})

    artifact = merge([merged, original], tmp_path / "all.lexer")

    assert [source["title"] for source in artifact.metadata["sources"]] == ["old.lexer", "a.lexer", "b.lexer"]
    assert [run["source"] for run in artifact.runs] == [0, 1, 2, 2]
    assert [row.run for row in artifact] == [1, 2, 2, 3, 3, 4, 4]
    assert (artifact[0].variance, artifact[0].std_ms) == (125, 125**0.5)  # ms² by now, and said to be
    assert not artifact.is_original
    assert artifact.environment["python_version"] == "several"
    assert artifact.processor_of(artifact[0]) is None
    assert artifact.processor_of(artifact[1]) == load(parts[0]).environment["processor"]
    words = {each.engine: each.words for each in compare(load(original), artifact)}
    assert words["onnxruntime"] == "only in the second"


def test_external_data_goes_with_a_model_that_is_renamed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("turnkey.formats.onnx_file.EXTERNAL_FROM_BYTES", 100)
    made = []
    for name in "ab":
        with LexerContext(config=SHORT) as context, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            context.export(nn.Linear(64, 64), torch.ones(1, 64))
            made.append(context.flush(name))

    artifact = merge(made, tmp_path / "both")

    assert [member.name for member in artifact.members][:4] == [
        *("Linear.onnx", "Linear.onnx.data", "Linear-2.onnx", "Linear-2.onnx.data"),
    ]
    assert [each.verdict for each in artifact.verify()] == ["pass", "pass"]
    with zipfile.ZipFile(artifact.path) as archive:
        archive.extractall(tmp_path / "out")
    first, second = (onnx.load(tmp_path / "out" / f"{name}.onnx") for name in ("Linear", "Linear-2"))
    assert first.graph.initializer[0].raw_data != second.graph.initializer[0].raw_data


def test_what_is_damaged_given_twice_or_in_the_way_is_refused(parts: Sequence[Path], tmp_path: Path) -> None:
    with read_archive(parts[0]) as archive:
        members = {name: archive.read(name) for name in archive.names}
    damaged, newer = tmp_path / "damaged.lexer", tmp_path / "newer.lexer"
    write_archive(damaged, {**members, "Tiny.onnx": b"other"})
    write_archive(
        newer, {**members, "a.toml": members["a.toml"].replace(b"schema_version = 1", b"schema_version = 9")}
    )
    output = tmp_path / "out.lexer"

    with pytest.raises(ArtifactError, match="not merged") as caught:
        merge([damaged, parts[1]], output)
    assert "Tiny.onnx" in caught.value.evidence
    with pytest.raises(ArtifactError, match="not merged"):
        merge([newer, parts[1]], output)
    for given in ([], parts[:1], [parts[0], parts[0].parent / "." / parts[0].name]):
        with pytest.raises(UsageError, match="two artifacts or more"):
            merge(given, output)
    assert not output.exists()
    before = parts[0].read_bytes()
    with pytest.raises(UsageError, match="replaces nothing"):
        merge(parts, parts[0])
    assert parts[0].read_bytes() == before


def test_the_command_merges_and_says_where_it_wrote(
    parts: Sequence[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [str(path) for path in parts]
    output = tmp_path / "new" / "both.lexer"

    assert turnkeycli(["lexer", "merge", *files, "-o", str(output)]) == 0
    assert f"wrote {output}" in capsys.readouterr().out
    assert len(load(output)) == 6
    assert turnkeycli(["lexer", "merge", *files]) != 0
    assert "where to write" in capsys.readouterr().err
    assert turnkeycli(["lexer", "show", *files, "-o", str(output)]) != 0
    assert "writes no file" in capsys.readouterr().err
