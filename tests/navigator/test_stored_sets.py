"""Sample sets written into a workspace, and the same read back from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from turnkey.navigator.format import Format
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.preprocessing import prepare
from turnkey.navigator.source import Source
from turnkey.navigator.stored_sets import stored, write_sets
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
