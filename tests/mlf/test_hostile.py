"""Tarballs with changed parts inside: every reader gives values or a named error, and nothing is left behind."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import turnkey.mlf as mlf
from turnkey.errors import TurnkeyError
from turnkey.mlf import archive
from turnkey.mlf.archive import Archive
from turnkey.mlf.library import Library, from_archive
from turnkey.mlf.picture import plan_page
from turnkey.mlf.table import library_facts

PARTS = ("metadata.json", "executor-config/graph/cnn.graph", "parameters/cnn.params", "src/cnn.onnx")


def read_everything(library: Library) -> None:
    """Every reader that a loaded library has; none of them compiles or runs anything."""
    for module in library.modules:
        _ = module.inputs, module.outputs, module.memory, module.plan, module.graph
        module.parameters(), module.onnx(), module.sources(), module.samples()
    library_facts(library)
    plan_page(library)


def without_sums(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files as if their author had recorded no sums: else every change were noticed at once."""
    return {**files, "metadata.json": files["metadata.json"].replace(b'"files":', b'"former_files":')}


def mutants(files: dict[str, bytes], count: int, seed: int) -> Iterator[dict[str, bytes]]:
    """Changed bytes in one of the parts; in JSON also a value replaced by one of another kind."""
    generator = random.Random(seed)
    values: list[Any] = [None, True, -1, 1 << 70, 1.5, "", "x", [], {}, [[]], "\u0000", [None], {"a": {}}]
    for _ in range(count):
        part = generator.choice(PARTS)
        content = bytearray(files[part])
        if part.endswith((".json", ".graph")) and generator.random() < 0.7:
            tree = json.loads(content)
            place = tree
            while isinstance(place, (dict, list)) and place:
                key = generator.choice(list(place) if isinstance(place, dict) else range(len(place)))
                if generator.random() < 0.25 or not isinstance(place[key], (dict, list)) or not place[key]:
                    place[key] = generator.choice(values)
                    break
                place = place[key]
            content = bytearray(json.dumps(tree).encode())
        else:
            for _ in range(generator.randint(1, 3)):
                content[generator.randrange(len(content))] = generator.randrange(256)
            if generator.random() < 0.2:
                del content[generator.randrange(len(content)) :]
        yield {**files, part: bytes(content)}


def _attack(cnn_tar: Path, count: int, seed: int) -> None:
    files = without_sums(dict(mlf.load(cnn_tar).archive.files))
    before = sorted(Path(tempfile.gettempdir()).glob("turnkey-mlf-*"))
    errors: list[TurnkeyError] = []
    for changed in mutants(files, count, seed):
        try:
            read_everything(from_archive(Archive(cnn_tar, changed)))
        except TurnkeyError as error:  # anything else fails the test
            errors.append(error)
    assert len(errors) > count // 10
    assert not [error for error in errors if "[mlf-" not in str(error.what) or not error.evidence]
    assert sorted(Path(tempfile.gettempdir()).glob("turnkey-mlf-*")) == before


def test_changed_parts_give_values_or_a_named_error(cnn_tar: Path) -> None:
    _attack(cnn_tar, 400, seed=1)


@pytest.mark.nightly
def test_ten_thousand_changed_parts_give_values_or_a_named_error(cnn_tar: Path) -> None:
    _attack(cnn_tar, 10_000, seed=2)


def test_a_compressed_tarball_is_read_and_a_bomb_is_refused(
    cnn_tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.tar.gz").write_bytes(gzip.compress(cnn_tar.read_bytes()))
    assert mlf.load(tmp_path / "c.tar.gz").digest == mlf.load(cnn_tar).digest
    bomb = archive.pack({"metadata.json": b"{}", "zeros": bytes(3 << 20)}, timestamp=0)
    (tmp_path / "bomb.tar.gz").write_bytes(gzip.compress(bomb))
    monkeypatch.setattr(archive, "TOTAL_LIMIT_BYTES", 1 << 20)
    with pytest.raises(TurnkeyError, match="mlf-too-large"):
        mlf.load(tmp_path / "bomb.tar.gz")
