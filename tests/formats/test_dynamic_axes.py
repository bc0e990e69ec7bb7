"""Which axes may vary."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import UsageError
from turnkey.formats.dynamic_axes import STATIC, DynamicAxes, batch_axes, observed_axes, requested_axes

SAMPLE = {
    "ids": np.zeros((2, 6), np.int64),
    "mask": np.zeros((2, 6), np.int64),
    "table": np.zeros((5, 4)),
    "s": np.zeros(()),
}


def test_the_batch_axis_is_axis_0_of_the_inputs_that_share_the_first_ones_extent():
    assert batch_axes(SAMPLE).sentence() == "batch = ids:0, mask:0"
    assert batch_axes({"s": np.zeros(())}) == STATIC
    assert batch_axes({"empty": np.zeros((0, 3))}) == STATIC
    assert not batch_axes({})


def test_axes_that_the_script_varied_are_dynamic_and_equal_extents_go_together():
    longer = {**SAMPLE, "ids": np.zeros((2, 9), np.int64), "mask": np.zeros((2, 9), np.int64)}
    axes = observed_axes(SAMPLE, [longer, {"other": np.zeros(1)}])
    assert axes.sentence() == "ids_1 = ids:1, mask:1"
    assert axes.fits(SAMPLE, longer)
    assert not batch_axes(SAMPLE).fits(SAMPLE, longer)


def test_requested_axes_may_count_from_the_end_and_unknown_ones_are_usage_errors():
    assert requested_axes(SAMPLE, [("ids", -1), ("mask", 1)]).sentence() == "ids_1 = ids:1, mask:1"
    with pytest.raises(UsageError, match="'idz'") as caught:
        requested_axes(SAMPLE, [("idz", 1)])
    assert "ids [2, 6]" in caught.value.evidence
    with pytest.raises(UsageError, match="axis 2 of 'ids'"):
        requested_axes(SAMPLE, [("ids", 2)])


def test_the_batch_axis_keeps_its_name_when_it_is_requested():
    assert requested_axes(SAMPLE, [("ids", 0), ("table", 0)]).sentence() == "table_0 = table:0; batch = ids:0"


def test_merging_keeps_the_first_symbol_of_an_axis():
    merged = DynamicAxes({"ids": {0: "n"}}).merged(batch_axes(SAMPLE))
    assert merged.sentence() == "n = ids:0; batch = mask:0"


@given(extent=st.integers(1, 7), wanted=st.integers(1, 20))
def test_resizing_repeats_rows_from_the_start_or_cuts_them_off(extent, wanted):
    sample = {"x": np.arange(extent * 2).reshape(extent, 2), "other": np.zeros((extent + 8, 1))}
    axes = batch_axes(sample)
    resized = axes.resized(sample, {"batch": wanted})
    assert axes.extents(resized) == {"batch": wanted}
    for row in range(wanted):
        np.testing.assert_array_equal(resized["x"][row], sample["x"][row % extent])
    assert resized["other"] is sample["other"]
    assert axes.fits(sample, resized)
