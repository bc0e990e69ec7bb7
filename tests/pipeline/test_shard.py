"""Shards: every input belongs to exactly one of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.pipeline.shard import WHOLE, Shard, parse_shard


@given(st.lists(st.integers()), st.integers(1, 20))
def test_the_shards_of_all_indexes_are_a_partition_in_order(inputs: list[int], count: int) -> None:
    parts = [Shard(index, count).of(inputs) for index in range(1, count + 1)]

    assert sorted(item for part in parts for item in part) == sorted(inputs)
    assert max(len(part) for part in parts) - min(len(part) for part in parts) <= 1


def test_one_of_one_is_everything() -> None:
    assert WHOLE.of("abc") == ["a", "b", "c"]


@given(st.integers(1, 1000), st.integers(0, 1000))
def test_what_is_printed_is_read_again(index: int, further: int) -> None:
    shard = Shard(index, index + further)

    assert parse_shard(str(shard)) == shard


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2", "1/0"])
def test_what_is_no_shard_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(ValueError, match="I/N"):
        parse_shard(text)
