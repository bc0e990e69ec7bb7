"""How a stored variant is called: written beside it and read back, or refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import ArtifactError
from turnkey.formats.stored_call import StoredCall, read_stored_call, stored_call_path, write_stored_call
from turnkey.model.call import CallStructure, Leaf
from turnkey.model.signature import Signature, TensorSpec

CALL = StoredCall(
    signature=Signature(
        inputs=(TensorSpec(name="x", dtype="float32", shape=("batch", 3)),),
        outputs=(TensorSpec(name="output", dtype="float32", shape=("batch", 2)),),
    ),
    structure=CallStructure(args=(Leaf("x"),), kwargs={"scale": 2.0}),
)

specs = st.builds(
    TensorSpec,
    name=st.text(st.characters(codec="utf-8"), min_size=1),
    dtype=st.sampled_from(["float32", "bfloat16", "int64", "bool"]),
    shape=st.lists(st.integers(0, 2**40) | st.text(st.characters(codec="utf-8"), min_size=1), max_size=4).map(tuple),
)


@given(inputs=st.lists(specs, max_size=3), outputs=st.lists(specs, max_size=3))
def test_what_is_written_is_read(tmp_path_factory, inputs, outputs):
    path = tmp_path_factory.mktemp("call") / "model.pt"
    call = StoredCall(signature=Signature(inputs=tuple(inputs), outputs=tuple(outputs)))
    assert write_stored_call(call, path) == stored_call_path(path)
    assert read_stored_call(path) == call


def test_the_arguments_of_the_call_come_back_too(tmp_path):
    write_stored_call(CALL, tmp_path / "model.pt")
    assert read_stored_call(tmp_path / "model.pt") == CALL


@pytest.mark.parametrize(
    "change",
    [
        {"call_version": 2},
        {"further": 1},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [-1]}]},
        {"inputs": [{"name": "x", "dtype": "float32", "shape": [True]}]},
        {"inputs": [{"name": "x"}]},
        {"inputs": 3},
        {"structure": {"args": [{"pickle": ""}], "kwargs": {}}},
    ],
)
def test_anything_else_is_refused(tmp_path, change):
    path = write_stored_call(CALL, tmp_path / "model.pt")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ArtifactError, match=r"not known how model\.pt is called"):
        read_stored_call(tmp_path / "model.pt")


def test_a_missing_or_endless_file_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not known"):
        read_stored_call(tmp_path / "model.pt")
    stored_call_path(tmp_path / "model.pt").write_bytes(b" " * (5 << 20))
    with pytest.raises(ArtifactError, match="not known") as caught:
        read_stored_call(tmp_path / "model.pt")
    assert "larger than" in caught.value.evidence
