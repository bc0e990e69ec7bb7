"""The state file: round trip, versions, and everything that is refused in a file from a stranger."""

from __future__ import annotations

import string
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import ArtifactError, InputError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import load_state, write_state

FULL = State(
    Path("/cache"),
    "model",
    uid="0123",
    build_status="successful",
    input={"path": "/x/model.py", "sha256": "ab", "hash": None, "script_args": "--n 3", "imported": {"/x/y.py": "cd"}},
    labels={"task": ("translation", "summarization")},
    model_hash="ab" * 32,
    expected_input_shapes={"x": ("batch", 3), "past.0.key": (1,)},
    expected_input_dtypes={"x": "float32"},
    expected_output_names=("output",),
    onnx_opset=20,
    downcast_applied=True,
    results="onnx",
    variants=(
        Variant(key="onnx", format="onnx", path="onnx/m.onnx", sha256="ef", lineage=("torch",), notes=("a: b",)),
    ),
    conversions=({"key": "onnx", "outcome": "made", "log": "log_convert-onnx.txt", "seconds": 1.5},),
    verification=({"key": "onnx", "verdict": "valid"},),
    measurements=({"variant": "onnx", "record": "runs/1.zip"},),
    sequence=(("discover", {"max_depth": 0}, "successful"), ("export-pytorch", {}, "successful")),
    history=({"sequence": [["discover", {}]], "status": "successful", "time": "2026-01-01T00:00:00Z"},),
    environment={"versions": {"turnkey": "0.1"}},
)


@pytest.fixture
def build(tmp_path: Path) -> BuildPaths:
    paths = BuildPaths(tmp_path / "cache", "model")
    paths.directory.mkdir(parents=True)
    write_state(replace(FULL, cache_dir=paths.cache_dir))
    return paths


def rewritten(build: BuildPaths, **changes: Any) -> BuildPaths:
    data = yaml.safe_load(build.state.read_text())
    build.state.write_text(yaml.safe_dump({**data, **changes}, sort_keys=False))
    return build


def test_what_is_written_is_read(build: BuildPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_state(state_path=build.state) == replace(FULL, cache_dir=build.cache_dir)
    assert load_state(build.cache_dir, "model") == load_state(state_path=build.state)
    monkeypatch.setenv("HOME", str(build.cache_dir))
    assert load_state("~", "model") == load_state(state_path="~/model/model_state.yaml")


def test_a_moved_cache_works(build: BuildPaths, tmp_path: Path) -> None:
    moved = build.cache_dir.rename(tmp_path / "elsewhere")

    state = load_state(moved, "model")

    assert state.build_dir == moved / "model"
    assert state.variant().path == "onnx/m.onnx"


texts = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=30)
plain_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)


@given(text=texts, arguments=st.dictionaries(texts, plain_values, max_size=4))
def test_any_text_and_plain_value_survives(text: str, arguments: dict[str, Any], tmp_path_factory: Any) -> None:
    paths = BuildPaths(tmp_path_factory.mktemp("cache"), "model")
    paths.directory.mkdir()
    state = State(
        paths.cache_dir, "model", input={"path": text}, sequence=((text, arguments, "successful"),), chosen=text
    )
    write_state(state)

    assert load_state(state_path=paths.state) == state


def test_a_missing_build_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such build") as caught:
        load_state(tmp_path, "absent")
    assert "absent_state.yaml" in caught.value.evidence


def test_incomplete_is_killed_unless_somebody_works_on_it(build: BuildPaths) -> None:
    rewritten(build, build_status="incomplete")

    assert load_state(state_path=build.state).build_status == "killed"
    with hold(build):
        assert load_state(state_path=build.state).build_status == "incomplete"


def test_an_unknown_key_is_an_error_with_its_line(build: BuildPaths) -> None:
    with open(build.state, "a") as file:
        file.write("suprise: 1\n")
    line = len(build.state.read_text().splitlines())

    with pytest.raises(ArtifactError, match="unknown key 'suprise'") as caught:
        load_state(state_path=build.state)
    assert f"line {line}" in caught.value.evidence


def test_a_newer_version_is_refused_with_the_remedy(build: BuildPaths) -> None:
    rewritten(build, state_version=2, turnkey_version="9.9", novelty=1)

    with pytest.raises(ArtifactError, match="version 2") as caught:
        load_state(state_path=build.state)
    assert "9.9" in caught.value.remedy


VARIANT = {"key": "onnx", "format": "onnx", "path": "onnx/m.onnx", "sha256": "ef"}

HOSTILE: dict[str, dict[str, Any]] = {
    "another build's name": {"build_name": "other"},
    "a name that leaves the cache": {"build_name": "../x"},
    "an absolute path": {"variants": [{**VARIANT, "path": "/etc/passwd"}]},
    "a path with dots": {"variants": [{**VARIANT, "path": "onnx/../../../x"}]},
    "a path with dots that come back": {"variants": [{**VARIANT, "path": "onnx/../m.onnx"}]},
    "a path with backslashes": {"variants": [{**VARIANT, "path": "..\\x"}]},
    "a record elsewhere": {"measurements": [{"record": "../../x.zip"}]},
    "samples elsewhere": {"samples": "../other/samples"},
    "an unknown key of a variant": {"variants": [{**VARIANT, "__class__": "x"}]},
    "an unknown key of the input": {"input": {"path": "x", "command": "rm"}},
    "a status that is none": {"build_status": "fine"},
    "a list for a mapping": {"input": []},
    "a number for a name": {"results": 3},
    "a flag for a number": {"onnx_opset": True},
    "a step that is no step": {"sequence": [["discover"]]},
    "a variant without a path": {"variants": [{"key": "onnx"}]},
    "no version": {"state_version": None},
    "version zero": {"state_version": 0},
    "shapes that are numbers": {"expected_input_shapes": {"x": 3}},
    "labels that are numbers": {"labels": {"x": 3}},
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_value_is_a_named_error(attack: str, build: BuildPaths) -> None:
    rewritten(build, **HOSTILE[attack])

    with pytest.raises(ArtifactError) as caught:
        load_state(state_path=build.state)
    assert "model_state.yaml" in caught.value.evidence or "name" in caught.value.what


PLACE = b"environment:\n  versions:\n    turnkey: '0.1'\n"

HOSTILE_TEXT = {
    "python object": (b"environment: !!python/object/apply:os.system ['touch pwned']\n", "the tag"),
    "python tuple": (b"environment: {x: !!python/tuple [1]}\n", "the tag"),
    "own tag": (b"environment: !mine {}\n", "the tag"),
    "alias": (b"environment: {a: &a [x, x], b: *a}\n", "anchor or alias"),
    "anchor": (b"environment: {a: &a [x, x]}\n", "anchor or alias"),
    "repeated key": (b"environment: {a: 1, b: 2, a: 3}\n", "the key 'a' twice"),
    "repeated top key": (b"environment: {}\nuid: b\n", "the key 'uid' twice"),
    "nesting": (b"environment: {x: " + b"[" * 100 + b"]" * 100 + b"}\n", "more than 64 levels"),
    "deep nesting": (b"environment: " + b"[" * 200_000, "levels|not YAML"),
    "binary": (b"environment: \x00\x01\n", "not YAML"),
    "not utf-8": (b"environment: {x: \xff\xfe}\n", "not YAML"),
    "half a file": (b"environment: {path: 'x", "not YAML"),
    "two documents": (b"environment: {}\n---\na: b\n", "not YAML"),
    "huge": (b"environment: {x: '" + b"x" * (17 << 20) + b"'}\n", "larger than 16 MiB"),
    "keys that are lists": (b"environment: {[1, 2]: 3}\n", "not YAML"),
    "a date for a key": (b"environment: {}\n2026-01-01: x\n", "names to values"),
}


@pytest.mark.parametrize("attack", HOSTILE_TEXT)
def test_a_file_that_is_not_plain_is_a_named_error(
    attack: str, build: BuildPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(build.directory)
    text, words = HOSTILE_TEXT[attack]
    content = build.state.read_bytes()
    assert PLACE in content
    build.state.write_bytes(content.replace(PLACE, text))

    with pytest.raises(ArtifactError, match=words):
        load_state(state_path=build.state)
    assert not (build.directory / "pwned").exists()


@pytest.mark.parametrize("content", [b"", b"- 1\n- 2\n", b"\x80\x04\x95\x1f\x00\x8c\x05posix\x94", b"just text"])
def test_a_file_without_a_mapping_is_a_named_error(content: bytes, build: BuildPaths) -> None:
    build.state.write_bytes(content)

    with pytest.raises(ArtifactError):
        load_state(state_path=build.state)


def test_a_link_that_leaves_the_build_is_refused(build: BuildPaths, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (build.directory / "onnx").symlink_to(tmp_path / "outside")

    with pytest.raises(ArtifactError, match="leaves the build directory"):
        load_state(state_path=build.state)


@given(noise=st.binary(max_size=200), at=st.floats(0, 1))
def test_damage_anywhere_is_a_named_error_or_harmless(noise: bytes, at: float, tmp_path_factory: Any) -> None:
    paths = BuildPaths(tmp_path_factory.mktemp("cache"), "model")
    paths.directory.mkdir()
    write_state(replace(FULL, cache_dir=paths.cache_dir))
    content = paths.state.read_bytes()
    place = int(at * len(content))
    paths.state.write_bytes(content[:place] + noise + content[place + len(noise) :])

    try:
        state = load_state(state_path=paths.state)
    except ArtifactError:
        return
    assert state.build_name == "model"
    assert set(state.build_name) <= set(string.ascii_letters)
