"""Tarballs with changed parts inside: every reader gives values or a named error, and nothing is left behind."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import models
import numpy as np
import onnx
import pytest
from changed_tarballs import files_without_sums

import turnkey.mlf as mlf
from turnkey.cli.main import main
from turnkey.errors import TurnkeyError
from turnkey.mlf import archive
from turnkey.mlf.archive import Archive
from turnkey.mlf.library import Library, from_archive
from turnkey.mlf.picture import plan_page
from turnkey.mlf.table import library_facts, library_table

PARTS = ("metadata.json", "executor-config/graph/cnn.graph", "parameters/cnn.params", "src/cnn.onnx")


def read_everything(library: Library) -> None:
    """Every reader that a loaded library has; none of them compiles or runs anything."""
    for module in library.modules:
        _ = module.inputs, module.outputs, module.memory, module.plan, module.graph
        module.parameters(), module.onnx(), module.sources(), module.samples()
    library_facts(library)
    plan_page(library)


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


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _attack(cnn_tar: Path, scratch: Path, count: int, seed: int) -> None:
    files = files_without_sums(cnn_tar)
    errors: list[TurnkeyError] = []
    for changed in mutants(files, count, seed):
        try:
            read_everything(from_archive(Archive(cnn_tar, changed)))
        except TurnkeyError as error:  # anything else fails the test
            errors.append(error)
    assert len(errors) > count // 10
    assert not [error for error in errors if "[mlf-" not in str(error.what) or not error.evidence]
    assert list(scratch.iterdir()) == []


def test_changed_parts_give_values_or_a_named_error(cnn_tar: Path, scratch: Path) -> None:
    _attack(cnn_tar, scratch, 400, seed=1)


@pytest.mark.nightly
def test_ten_thousand_changed_parts_give_values_or_a_named_error(cnn_tar: Path, scratch: Path) -> None:
    _attack(cnn_tar, scratch, 10_000, seed=2)


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


def _told(cnn_tar: Path, change: Callable[[dict[str, Any]], None]) -> dict[str, bytes]:
    """The tarball's files, whose metadata a stranger changed."""
    files = files_without_sums(cnn_tar)
    facts = json.loads(files["metadata.json"])
    change(facts)
    return {**files, "metadata.json": json.dumps(facts).encode()}


def _renamed(name: str) -> Callable[[dict[str, Any]], None]:
    return lambda facts: facts.update(modules={name: facts["modules"]["cnn"]})


def _extension(facts: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = facts["modules"]["cnn"]["turnkey"]
    return found


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_renamed("../../etc/cnn"), "mlf-bad-metadata"),
        (_renamed("cnn\x1b[2J"), "mlf-bad-metadata"),
        (_renamed(""), "mlf-bad-metadata"),
        (lambda facts: facts["modules"].update(CNN=facts["modules"]["cnn"]), "mlf-bad-metadata"),
        (lambda facts: _extension(facts)["abi"].update(places={"\x1b[2J": -1}), "mlf-bad-metadata"),
        (lambda facts: _extension(facts)["tensors"]["image"].update(shape=[1 << 30, 1 << 10]), "mlf-too-large"),
        (lambda facts: _extension(facts)["stack"].update(static_bytes=-1), "mlf-bad-metadata"),
    ],
)
def test_what_a_stranger_may_not_tell_is_one_named_error(
    change: Callable[[dict[str, Any]], None], code: str, cnn_tar: Path
) -> None:
    with pytest.raises(TurnkeyError, match=code) as caught:
        read_everything(from_archive(Archive(cnn_tar, _told(cnn_tar, change))))
    assert str(caught.value).replace("\n", "").isprintable()


@pytest.mark.parametrize("stack", [{}, {"someone's": 3}])
def test_a_stack_of_which_nothing_is_told_is_left_out(stack: dict[str, int], cnn_tar: Path) -> None:
    files = _told(cnn_tar, lambda facts: _extension(facts).update(stack=stack))
    assert "painted" not in library_table(from_archive(Archive(cnn_tar, files)))


@pytest.mark.parametrize("wanted", [{"workspace_bytes": 1 << 50}, {"workspace_alignment": 1 << 60}], ids=str)
def test_a_call_that_wants_all_memory_is_refused_before_it_takes_any(wanted: dict[str, int], cnn_tar: Path) -> None:
    files = _told(cnn_tar, lambda facts: _extension(facts)["abi"].update(wanted))
    module = from_archive(Archive(cnn_tar, files)).module()
    with pytest.raises(TurnkeyError, match="mlf-too-large"):
        module.run({"image": np.zeros((1, 2, 8, 8), np.float32)})


@pytest.mark.parametrize("places", [{}, {"x": 0, "y": 1 << 40}], ids=["nowhere", "outside"])
def test_a_tensor_that_has_no_place_in_the_workspace_is_refused(places: dict[str, int], tmp_path: Path) -> None:
    options = {"workspace": "io", "compile": False, "verify": False}
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="m", **options)
    files = files_without_sums(tmp_path / "m.tar")
    facts = json.loads(files["metadata.json"])
    facts["modules"]["m"]["turnkey"]["abi"]["places"] = places
    module = from_archive(Archive(tmp_path, {**files, "metadata.json": json.dumps(facts).encode()})).module()
    with pytest.raises(TurnkeyError, match="mlf-bad-metadata"):
        module.run({"x": np.ones((2, 3), np.float32)})


def test_a_model_that_reads_another_file_is_refused(cnn_tar: Path) -> None:
    files = files_without_sums(cnn_tar)
    model = mlf.load(cnn_tar).module().onnx()
    outside = onnx.TensorProto(name="secret", data_type=1, dims=[4], data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="/etc/passwd")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["secret"], value=outside))
    changed = {**files, "src/cnn.onnx": model.SerializeToString()}
    with pytest.raises(TurnkeyError, match="lies in another file"):
        from_archive(Archive(cnn_tar, changed)).module().onnx()


def test_merging_takes_no_file_of_another_module(cnn_tar: Path, tmp_path: Path) -> None:
    mlf.export(models.model_of(models.MULTIPLY), tmp_path / "m.tar", name="mm", compile=False, verify=False)
    files = dict(mlf.load(tmp_path / "m.tar").archive.files)
    facts = json.loads(files["metadata.json"])
    stolen = "codegen/host/src/cnn_lib0.c"
    files[stolen] = b"int32_t evil;\n"
    facts["modules"]["mm"]["turnkey"]["files"][stolen] = {
        "role": "source",
        "sha256": sha256(files[stolen]).hexdigest(),
    }
    files["metadata.json"] = json.dumps(facts).encode()
    (tmp_path / "evil.tar").write_bytes(archive.pack(files, timestamp=0))
    with pytest.raises(TurnkeyError, match="holds a file of another module"):
        mlf.merge([cnn_tar, tmp_path / "evil.tar"], tmp_path / "both.tar")
    assert not (tmp_path / "both.tar").exists()


def test_text_of_a_stranger_moves_no_cursor(cnn_tar: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = files_without_sums(cnn_tar)
    files["metadata.json"] = files["metadata.json"].replace(b'"image"', b'"im\\u001b[2Jage"')
    (tmp_path / "m.tar").write_bytes(archive.pack(files, timestamp=0))
    assert main(["show-mlf", str(tmp_path / "m.tar"), "--files"]) == 0
    shown = capsys.readouterr().out
    assert "im [2Jage" in shown
    assert "\x1b" not in shown


@pytest.mark.parametrize(
    "command",
    [
        ["show-mlf", "bad.tar", "--picture", "plan.svg"],
        ["tune-mlf", "bad.tar", "-o", "made.tar"],
        ["-d", "cache", "-i", "bad.tar", "load-mlf", "--verify"],
        ["-d", "cache", "-i", "net.onnx", "load-onnx", "export-mlf", "--no-compile", "--add-to", "bad.tar"],
        ["-d", "cache", "-i", "net.onnx", "load-onnx", "export-mlf", "--no-compile", "--plan-from", "bad.tar"],
    ],
    ids=["show", "tune", "load", "add to", "plan from"],
)
def test_every_command_refuses_a_torn_tarball_and_leaves_everything_as_it_was(
    command: list[str],
    cnn_tar: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    torn = cnn_tar.read_bytes()[:-30_000]
    Path("bad.tar").write_bytes(torn)
    onnx.save(models.model_of(models.CNN), "net.onnx")
    assert main(command) == 1
    said = "".join(capfd.readouterr())
    assert "[mlf-bad-archive]" in said
    assert "Traceback" not in said
    assert Path("bad.tar").read_bytes() == torn
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".svg", ".tar") and path.name != "bad.tar"]
