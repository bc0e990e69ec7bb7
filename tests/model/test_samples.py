import json
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from turnkey.errors import ArtifactError
from turnkey.model.call import CallStructure, Leaf, Opaque
from turnkey.model.samples import SampleSet, read_samples, write_samples

STRUCTURE = CallStructure(args=(Leaf("x"), [Leaf("past.0.key"), None, 3]), kwargs={"flag": True, "d": {"a": 1.5}})


def sample_set(count: int = 2) -> SampleSet:
    inputs = tuple(
        {"x": np.full((2, 3), k, np.float32), "past.0.key": np.arange(4).astype(ml_dtypes.bfloat16)}
        for k in range(count)
    )
    outputs = ({"output": np.ones((2,), np.int64)}, *[None] * (count - 1))
    return SampleSet(structure=STRUCTURE, inputs=inputs, outputs=outputs)


def assert_equal(a: SampleSet, b: SampleSet) -> None:
    assert (a.structure, a.seed, len(a.inputs)) == (b.structure, b.seed, len(b.inputs))
    for first, second in zip((*a.inputs, *a.outputs), (*b.inputs, *b.outputs), strict=True):
        if first is None or second is None:
            assert first is second
            continue
        assert list(first) == list(second)
        for name in first:
            assert first[name].dtype == second[name].dtype
            assert first[name].shape == second[name].shape
            assert first[name].tobytes() == second[name].tobytes()


def test_what_is_written_is_read_back_bit_for_bit(tmp_path: Path) -> None:
    write_samples(sample_set(), tmp_path / "samples")
    assert_equal(read_samples(tmp_path / "samples"), sample_set())


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    array=npst.arrays(
        dtype=st.one_of(
            npst.boolean_dtypes(),
            npst.integer_dtypes(endianness="="),
            npst.floating_dtypes(endianness="=", sizes=(16, 32, 64)),
            npst.complex_number_dtypes(endianness="=", sizes=(64, 128)),
        ),
        shape=npst.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
    ),
    name=st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable()),
)
def test_every_dtype_shape_and_name_survives(tmp_path: Path, array: np.ndarray, name: str) -> None:
    samples = SampleSet(structure=None, inputs=({name: array},), outputs=(None,), seed=7)
    write_samples(samples, tmp_path)
    assert_equal(read_samples(tmp_path), samples)


def test_strings_are_stored_without_pickle(tmp_path: Path) -> None:
    samples = SampleSet(structure=None, inputs=({"s": np.array(["ab", "c"], object)},), outputs=(None,))
    write_samples(samples, tmp_path)
    assert read_samples(tmp_path).inputs[0]["s"].tolist() == ["ab", "c"]


def test_an_opaque_argument_is_refused_and_leaves_the_older_set_whole(tmp_path: Path) -> None:
    write_samples(sample_set(), tmp_path)
    opaque = SampleSet(structure=CallStructure(args=(Opaque(object()),), kwargs={}), inputs=({},), outputs=(None,))
    with pytest.raises(ValueError, match="object"):
        write_samples(opaque, tmp_path)
    assert_equal(read_samples(tmp_path), sample_set())


def test_a_newer_set_replaces_the_older_one_as_a_whole(tmp_path: Path) -> None:
    write_samples(sample_set(5), tmp_path)
    write_samples(sample_set(2), tmp_path)
    assert_equal(read_samples(tmp_path), sample_set(2))
    assert len(list(tmp_path.glob("*.npz"))) == 2


def test_a_crash_before_the_index_is_replaced_keeps_the_older_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_samples(sample_set(3), tmp_path)

    def crash(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(OSError, match="no space"):
        write_samples(sample_set(1), tmp_path)
    monkeypatch.undo()
    assert_equal(read_samples(tmp_path), sample_set(3))


def test_a_missing_directory_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="samples"):
        read_samples(tmp_path / "nothing")


def _change_index(directory: Path, **changes: object) -> None:
    path = directory / "samples.json"
    index = json.loads(path.read_text())
    index.update(changes)
    path.write_text(json.dumps(index))


@pytest.mark.parametrize(
    "changes",
    [
        {"samples": [{"file": "../0.npz", "inputs": [], "outputs": None}]},
        {"samples": [{"file": "/etc/passwd", "inputs": [], "outputs": None}]},
        {"samples": []},
        {"samples": 3},
        {"samples_version": 2},
        {"surplus": 1},
        {"seed": "1"},
        {"structure": {"args": [{"module": "os"}], "kwargs": {}}},
        {"structure": {"args": [{"tensor": "other"}], "kwargs": {}}},
        {"samples": [{"file": "0.npz", "inputs": [{"name": "x", "dtype": "object", "shape": [1]}], "outputs": None}]},
        {
            "samples": [
                {"file": "0.npz", "inputs": [{"name": "x", "dtype": "float32", "shape": [-1]}], "outputs": None}
            ]
        },
        {
            "samples": [
                {"file": "0.npz", "inputs": [{"name": "x", "dtype": "float32", "shape": [9**9]}], "outputs": None}
            ]
        },
    ],
)
def test_a_tampered_index_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    write_samples(sample_set(1), tmp_path)
    _change_index(tmp_path, **changes)
    with pytest.raises(ArtifactError):
        read_samples(tmp_path)


def test_a_pickle_in_the_arrays_is_never_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "executed",))

    write_samples(sample_set(1), tmp_path)
    np.savez(tmp_path / "0.npz", **{"inputs.0": np.array([Bomb()], object)})
    with pytest.raises(ArtifactError):
        read_samples(tmp_path)
    assert not (tmp_path / "executed").exists()


def test_a_compressed_member_is_refused_before_it_is_expanded(tmp_path: Path) -> None:
    write_samples(sample_set(1), tmp_path)
    with zipfile.ZipFile(tmp_path / "0.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "0.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ArtifactError, match="compressed"):
        read_samples(tmp_path)


def test_a_truncated_file_at_any_length_is_a_named_error(tmp_path: Path) -> None:
    write_samples(sample_set(1), tmp_path)
    whole = (tmp_path / "0.npz").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "0.npz").write_bytes(whole[:length])
        with pytest.raises(ArtifactError):
            read_samples(tmp_path)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    write_samples(sample_set(1), tmp_path / "a")
    write_samples(sample_set(1), tmp_path / "b")
    (tmp_path / "a" / "0.npz").unlink()
    (tmp_path / "a" / "0.npz").symlink_to(tmp_path / "b" / "0.npz")
    with pytest.raises(ArtifactError, match="regular"):
        read_samples(tmp_path / "a")
