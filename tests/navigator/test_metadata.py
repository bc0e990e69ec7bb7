"""Batch axis and varying axes from all samples, and the choice of sample sets."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from turnkey.errors import ArtifactError
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.metadata import infer_metadata
from turnkey.navigator.sample_sets import choose, read_documented, write_documented


def sample(batch: int, length: int = 5) -> dict[str, np.ndarray]:
    return {"ids": np.ones((batch, length), np.int64), "table": np.ones((7, 2), np.float32)}


def test_the_batch_axis_and_axes_that_vary_are_minus_one_and_the_table_stays() -> None:
    inputs = [sample(4), sample(4, 9), sample(3, 7)]
    outputs = [{"y": np.ones((each["ids"].shape[0], each["ids"].shape[1], 2), np.float32)} for each in inputs]
    found = infer_metadata(inputs, outputs, batching=True)
    assert [spec.shape for spec in found.inputs] == [(-1, -1), (7, 2)]
    assert found.outputs[0].shape == (-1, -1, 2)
    assert found.batch_dim == 0
    assert found.largest_batch == 4
    assert found.profile["ids"] == ((1, 5), (4, 7), (4, 9))


def test_without_batching_nothing_varies_that_did_not() -> None:
    found = infer_metadata([sample(4)], [{"y": np.ones((4, 2), np.float32)}], batching=False)
    assert [spec.shape for spec in found.inputs] == [(4, 5), (7, 2)]
    assert found.outputs[0].shape == (4, 2)
    assert found.batch_dim is None
    assert found.largest_batch is None


def test_batching_without_any_axis_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no batch axis"):
        infer_metadata([{"x": np.float32(1)}], [{"y": np.float32(1)}], batching=True)


def test_sets_hold_random_samples_extremes_and_the_last_largest() -> None:
    samples = [sample(2, length) for length in (5, 3, 9, 9, 4)]
    choice = choose(samples, count=2, seed=0)
    assert len(choice.correctness) == 2
    assert choice.conversion == (0, 1, 2), "extents 2 and 7 from the first, 3 and 9 along the other axis"
    assert choice.profiling == (2,)
    assert choose(samples, count=2, seed=0) == choice
    assert choose(samples, count=99, seed=0).correctness == (0, 1, 2, 3, 4)


@pytest.mark.defect("ND13")
def test_stored_rows_are_paired_by_index_not_by_the_order_of_a_directory(tmp_path) -> None:
    samples = {index: {"x": np.full((2, 1), index, np.float32)} for index in range(12)}
    choice = choose(list(samples.values()), count=12, seed=0)
    write_documented(tmp_path / "model_input", choice, samples, batched=["x"])
    read = read_documented(tmp_path / "model_input" / "correctness")
    assert [float(each["x"][0]) for each in read] == list(range(12))
    assert read[0]["x"].shape == (1,), "the batch axis is taken away"


def test_a_stored_sample_that_unpacks_to_more_than_a_gibibyte_or_is_pickled_is_refused(tmp_path) -> None:
    folder = tmp_path / "correctness"
    folder.mkdir()
    np.savez(folder / "0.npz", x=np.ones(3))
    content = bytearray((folder / "0.npz").read_bytes())
    entry = content.rindex(b"PK\x01\x02")  # of the directory, by which a reader learns the unpacked size
    struct.pack_into("<L", content, entry + 24, (1 << 30) + 1)
    (folder / "0.npz").write_bytes(content)
    with pytest.raises(ArtifactError, match="cannot be used") as caught:
        read_documented(folder)
    assert "1073741825 bytes unpacked; at most 1073741824" in caught.value.evidence
    np.savez(folder / "0.npz", x=np.array([object()], dtype=object))
    with pytest.raises(ArtifactError, match="cannot be used") as caught:
        read_documented(folder)
    assert "object" in caught.value.evidence
