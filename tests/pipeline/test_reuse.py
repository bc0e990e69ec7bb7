"""Reuse: what has not changed is not made again, what has changed is, and a doubtful record is no record."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.environment import versions
from turnkey.pipeline.reuse import recall, remember, reuse_key
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import load_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


@pytest.fixture
def run(script: Writer, cache: Path, tmp_path: Path) -> Callable[..., State]:
    """Runs obey and a counted make-again on a script; the count is the number of lines of ``count``."""
    path = script("model_hash = 'cd' * 32")

    def once(*, text: str = "text", reuse: bool = True) -> State:
        arguments = {"text": text, "count": str(tmp_path / "count")}
        outcome = Sequence(["obey", ("keep", arguments)]).run(
            State(cache, "model", input={"path": str(path), "sha256": path.read_text()}, environment={"seed": 0}),
            named=str(path),
            reuse=reuse,
        )
        assert outcome.status == "successful", outcome.failure
        return outcome.state

    return once


def runs(tmp_path: Path) -> int:
    return len((tmp_path / "count").read_text().splitlines())


def test_a_second_run_takes_the_result_of_the_first_and_says_so(
    run: Callable[..., State], tmp_path: Path, cache: Path
) -> None:
    first, second = run(), run()

    assert runs(tmp_path) == 1
    assert second.variants == first.variants
    assert second.results == "stored"
    assert second.statistics["stored"] == "text"
    assert second.statistics["reused_tools"] == ["keep"]
    assert "reused_tools" not in first.statistics
    assert second.statistics["tool_status:keep"] == "successful"
    assert second.statistics["tool_duration:keep"] == pytest.approx(first.statistics["tool_duration:keep"], abs=0.5)
    assert "reused from" in (cache / "model" / "log_keep.txt").read_text()
    assert load_state(cache, "model").build_status == "successful"


def test_other_arguments_or_another_input_make_it_again(
    run: Callable[..., State], tmp_path: Path, script: Writer
) -> None:
    run()
    run(text="other")
    assert runs(tmp_path) == 2
    script("model_hash = 'ef' * 32")
    run(text="other")
    assert runs(tmp_path) == 3


def test_fresh_makes_it_again(run: Callable[..., State], tmp_path: Path) -> None:
    run()
    run(reuse=False)

    assert runs(tmp_path) == 2


@pytest.mark.parametrize("damage", ["changed", "missing", "record", "version"])
def test_a_result_that_does_not_hold_any_more_is_made_again(
    damage: str, run: Callable[..., State], tmp_path: Path, cache: Path
) -> None:
    state = run()
    file, record = cache / "model" / state.variants[0].path, cache / "model" / "reuse" / "keep.yaml"
    if damage == "changed":
        file.write_text("something else")
    elif damage == "missing":
        file.unlink()
    elif damage == "record":
        record.write_text(record.read_text()[: len(record.read_text()) // 2])
    else:
        record.write_text(record.read_text().replace("reuse_version: 1", "reuse_version: 2"))

    again = run()

    assert runs(tmp_path) == 2
    assert file.read_text() == "text"
    assert "reused_tools" not in again.statistics
    run()
    assert runs(tmp_path) == 2


def test_a_record_that_leads_out_of_its_build_is_not_believed(cache: Path) -> None:
    before = State(cache, "build", environment={"seed": 0})
    paths = BuildPaths(cache, "build")
    paths.directory.mkdir(parents=True)
    key = reuse_key("keep", {}, before)
    remember("keep", key, before, replace(before, onnx_opset=18), seconds=1.0)
    record = paths.directory / "reuse" / "keep.yaml"
    assert recall("keep", key, before) is not None

    hostile = "variants:\n  - {key: a, format: onnx, path: ../../etc/passwd, sha256: x}\n"
    record.write_text(record.read_text().replace("variants: []\n", hostile))

    assert recall("keep", key, before) is None


def test_every_part_of_a_state_that_a_tool_reads_is_in_the_key(cache: Path) -> None:
    state = State(cache, "build", environment={"seed": 0})
    others = [
        replace(state, model_hash="a"),
        replace(state, weights_hash="a"),
        replace(state, input={"sha256": "a"}),
        replace(state, input={"imported": {"/x.py": "a"}}),
        replace(state, onnx_opset=18),
        replace(state, expected_input_dtypes={"x": "int64"}),
        replace(state, environment={"seed": 1}),
    ]
    keys = [reuse_key("tool", {}, each) for each in (state, *others)]

    assert len({*keys, reuse_key("other", {}, state), reuse_key("tool", {"n": 1}, state)}) == len(keys) + 2
    assert reuse_key("tool", {}, replace(state, cache_dir=cache / "elsewhere", build_name="moved")) == keys[0]


def test_another_compiler_makes_it_again_only_where_a_variant_is_c_source(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def key(state: State, version: str) -> str:
        compiler = tmp_path / f"cc-{version}"
        compiler.write_text(f"#!/bin/sh\ncase $1 in -dumpmachine) echo x86_64-linux-gnu;; *) echo {version};; esac\n")
        compiler.chmod(0o755)
        monkeypatch.setenv("CC", str(compiler))
        return reuse_key("verify", {}, state)

    state = State(cache, "build", environment={"seed": 0})
    source = state.with_variant(Variant(key="mlf", format="mlf", path="mlf/model.tar", sha256="ab"))

    assert key(state, "12.2.0") == key(state, "13.1.0")
    assert key(source, "12.2.0") != key(source, "13.1.0")
    assert key(source, "12.2.0") == key(source, "12.2.0")
    monkeypatch.setenv("CC", "no-such-compiler")
    assert reuse_key("verify", {}, source) != key(source, "12.2.0")


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Versions of packages that differ from 1.0."""
    found: dict[str, str] = {}
    monkeypatch.setattr("turnkey.pipeline.environment.version", lambda name: found.get(name, "1.0"))
    yield found
    versions.cache_clear()


@pytest.mark.parametrize("package", ["torch", "onnxruntime", "onnxscript", "onnxslim", "nncf"])
def test_another_version_of_what_executes_or_converts_makes_it_again(
    package: str, installed: dict[str, str], cache: Path
) -> None:
    state = State(cache, "build", environment={"seed": 0})
    keys = set()
    for installed[package] in ("1.0", "1.1"):
        versions.cache_clear()
        keys.add(reuse_key("tool", {}, state))

    assert len(keys) == 2
