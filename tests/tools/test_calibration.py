"""Inputs to calibrate with and inputs to judge by."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import InputError
from turnkey.tools.calibration import read_calibration, split


@given(st.integers(2, 50))
def test_no_input_both_calibrates_and_judges(count):
    captured = [{"x": np.full(1, index)} for index in range(count)]
    found = split(captured)
    calibrating = {int(sample["x"][0]) for sample in found.inputs}
    assert calibrating
    assert found.judged
    assert not calibrating & set(found.judged)
    assert calibrating | set(found.judged) == set(range(count))


def test_one_input_does_both_and_says_so():
    found = split([{"x": np.zeros(1)}])
    assert found.judged == (0,)
    assert "one captured input" in found.note


def test_given_inputs_calibrate_and_all_captured_ones_judge(tmp_path):
    captured = [{"x": np.zeros((2, 3), np.float32)}] * 3
    np.savez(tmp_path / "c.npz", x=np.ones((5, 2, 3)))
    given = read_calibration(tmp_path / "c.npz", captured[0])
    assert len(given) == 5
    assert given[0]["x"].dtype == np.float32
    assert split(captured, given=given).judged == (0, 1, 2)


@pytest.mark.parametrize("arrays", [{"y": np.ones((5, 2, 3))}, {"x": np.ones((2, 3))}, {"x": np.ones((0, 2, 3))}])
def test_arrays_that_do_not_fit_are_refused_with_what_is_wanted(tmp_path, arrays):
    np.savez(tmp_path / "c.npz", **arrays)
    with pytest.raises(InputError, match="does not fit") as caught:
        read_calibration(tmp_path / "c.npz", {"x": np.zeros((2, 3), np.float32)})
    assert "x [n, 2, 3]" in caught.value.evidence


def test_objects_and_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "objects.npz", x=np.array([{"a": 1}], dtype=object))
    (tmp_path / "text.npz").write_text("no archive")
    for name in ("objects.npz", "text.npz", "missing.npz"):
        with pytest.raises(InputError, match="no calibration inputs"):
            read_calibration(tmp_path / name, {"x": np.zeros(1)})
