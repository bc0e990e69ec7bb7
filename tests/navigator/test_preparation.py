"""What a run starts from: the dataloader's samples with their outputs, and the same read back from a workspace."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turnkey.navigator.exceptions import UserInputError
from turnkey.navigator.format import Format
from turnkey.navigator.preparation import Prepared, by_names, prepare, stored, write_sets
from turnkey.navigator.source import Source
from turnkey.navigator.worker import workbench
from turnkey.navigator.workspace import Workspace


def summed(x: np.ndarray) -> np.ndarray:
    found: np.ndarray = x.sum(axis=1, keepdims=True)
    return found


@pytest.fixture
def prepared() -> Prepared:
    """Three samples of two rows and of three lengths."""
    data = [np.ones((2, length), np.float32) * length for length in (5, 7, 6)]
    return prepare(
        summed,
        Format.PYTHON,
        data,
        sample_count=3,
        batching=True,
        input_names=None,
        output_names=None,
        say=lambda text: None,
    )


def test_a_workspace_gives_back_the_dataloaders_samples_and_profiles_the_shape_that_was_profiled(
    prepared: Prepared, tmp_path: Path
) -> None:
    directories = write_sets(prepared, Workspace(tmp_path))
    assert {path.name for path in directories} == {"samples", "shapes-1", "shapes-2", "batch-1", "batch-4"}
    source = Source(model=None, format=Format.PYTHON, structure=prepared.source.structure)
    again = stored(source, prepared.metadata, Workspace(tmp_path))
    assert [sample["input__0"].shape for sample in again.samples] == [(2, 5), (2, 7), (2, 6)], "no rows made of them"
    assert sorted(again.outputs) == [0, 1, 2]
    assert set(again.stored) == set(directories), "comparisons take those of other batch sizes, too"
    [(first, second)] = [(each.at_batch(3).inputs[0]["input__0"].shape for each in (prepared, again))]
    assert first == second == (3, 7)


def test_a_source_that_is_not_attached_has_no_facts_and_its_files_are_still_converted_with_samples(
    prepared: Prepared, tmp_path: Path
) -> None:
    directories = write_sets(prepared, Workspace(tmp_path))
    bare = Source(model=None, format=Format.TORCH, structure=prepared.source.structure)
    assert bare.with_facts(prepared.sets).model_hash == ""
    context = {"module": None, "sets": [str(directories[0])], "class_name": "", "facts": {}}
    bench = workbench(context)
    assert bench.source is None
    assert bench.samples[0]["input__0"].shape == (2, 5), "engines are tuned for them"


def test_samples_are_named_by_their_keys_whatever_the_order_else_by_position() -> None:
    a, b = np.zeros(1), np.ones(1)
    assert list(by_names({"b": b, "a": a}, ["a", "b"]).values()) == [a, b]
    assert by_names({"input__0": b, "input__1": a}, ["a", "b"]) == {"a": b, "b": a}
    with pytest.raises(UserInputError, match="inputs of the model"):
        by_names({"a": a, "c": b}, ["a", "b"])


def test_fewer_samples_than_are_to_be_compared_are_told() -> None:
    told: list[str] = []
    for count in (1, 100):
        prepare(
            summed,
            Format.PYTHON,
            [np.ones((2, 3), np.float32)],
            sample_count=count,
            batching=True,
            input_names=None,
            output_names=None,
            say=told.append,
        )
    [text] = told
    assert "1 samples, fewer than sample_count=100" in text
