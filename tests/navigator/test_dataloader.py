"""What a dataloader may yield, and under which names its tensors reach the model."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from turnkey.navigator.dataloader import as_call, checked_items, read_calls
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning, UserInputError


class Loader:
    def __init__(self, said: int, items: list[Any]) -> None:
        self.said, self.items = said, items

    def __len__(self) -> int:
        return self.said

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


def names_of(item: Any, takes: Any = None, **options: Any) -> list[str]:
    return list(read_calls([item], takes=takes, **options).samples[0])


def test_fewer_samples_than_the_length_is_an_error() -> None:
    with pytest.raises(ConfigurationError, match="fewer samples"):
        list(checked_items(Loader(3, [1, 2])))


def test_more_samples_than_the_length_warn_and_are_ignored() -> None:
    with pytest.warns(ConfigurationWarning, match="the rest is ignored"):
        assert list(checked_items(Loader(2, [1, 2, 3]))) == [1, 2]


@pytest.mark.parametrize("wrong", [[], iter([1]), 5, Loader(-1, [1])])
def test_what_is_empty_or_has_no_length_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        list(checked_items(wrong))


def test_a_tensor_a_tuple_and_a_dictionary_are_arguments_and_keywords() -> None:
    x = torch.ones(2)
    assert as_call(x, None) == ((x,), {})
    assert as_call((x, x), None)[0] == (x, x)
    assert as_call({"a": x}, None) == ((), {"a": x})


def test_a_generator_of_tensors_is_arguments_in_its_order() -> None:
    assert names_of(np.full(n, 1.0) for n in (1, 2)) == ["input__0", "input__1"]


def test_a_mapping_that_the_model_takes_as_one_argument_is_one_argument() -> None:
    def forward(batch: dict[str, Any]) -> None: ...

    def by_keyword(a: Any) -> None: ...

    assert as_call({"a": 1}, forward) == (({"a": 1},), {})
    assert as_call({"a": 1}, by_keyword) == ((), {"a": 1})


def test_the_last_mapping_of_a_tuple_is_keywords_where_the_model_has_them() -> None:
    def with_keywords(x: Any, *, mask: Any) -> None: ...

    def nested(x: Any, extra: Any) -> None: ...

    assert as_call((1, {"mask": 2}), with_keywords) == ((1,), {"mask": 2})
    assert as_call((1, {"mask": 2}), nested) == ((1, {"mask": 2}), {})


def test_mappings_of_all_kinds_are_dictionaries() -> None:
    assert names_of(UserDict(input_ids=np.ones((1, 2)))) == ["input_ids"]


def test_tensors_are_named_by_keys_else_by_position_else_as_given() -> None:
    x = np.ones(2)
    assert names_of((x, [x, x])) == ["input__0", "input__1", "input__2"]
    assert names_of({"ids": x, "past": {"key": x}}) == ["ids", "past.key"]
    assert names_of((x, x), names=["left", "right"]) == ["left", "right"]
    assert names_of({"arguments": x, "arg.0": x}) == ["arguments", "arg.0"], "as the keys say"


def test_two_tensors_that_would_have_one_name_are_refused() -> None:
    x = np.ones(2)
    with pytest.raises(UserInputError, match="two tensors of sample 0 have one name"):
        names_of({"a": {"b": x}, "a.b": x + 1})


def test_names_must_name_every_tensor_once() -> None:
    with pytest.raises(ConfigurationError, match="every tensor"):
        names_of((np.ones(1), np.ones(1)), names=["a", "a"])


def test_the_structure_binds_a_sample_back_to_the_call() -> None:
    x, y = np.ones(2), np.zeros(3)
    calls = read_calls([(x, {"a": [y], "b": None})], takes=lambda x, d: None)
    args, kwargs = calls.structure.bind(calls.samples[0])
    assert kwargs == {}
    assert (args[0] == x).all()
    assert args[1]["b"] is None
    assert (args[1]["a"][0] == y).all()


def test_tensors_of_both_kinds_keep_their_bits() -> None:
    calls = read_calls([(torch.tensor([1.5], dtype=torch.bfloat16), np.array([2], np.uint8))], takes=None)
    assert [str(array.dtype) for array in calls.samples[0].values()] == ["bfloat16", "uint8"]
    assert float(calls.samples[0]["input__0"][0]) == 1.5


def test_samples_of_different_structure_dtype_or_rank_are_refused() -> None:
    with pytest.raises(UserInputError, match="another structure"):
        read_calls([{"a": np.ones(1)}, {"b": np.ones(1)}], takes=None)
    with pytest.raises(UserInputError, match="dtype or rank"):
        read_calls([np.ones(1), np.ones((1, 1))], takes=None)


def test_nan_in_an_input_warns() -> None:
    with pytest.warns(ConfigurationWarning, match="NaN"):
        read_calls([np.array([np.nan])], takes=None)


def test_a_sample_without_tensors_or_with_objects_is_refused() -> None:
    with pytest.raises(UserInputError):
        read_calls([{"a": 1}], takes=None)
    with pytest.raises(UserInputError):
        read_calls([(np.ones(1), object())], takes=None)


@pytest.mark.needs("transformers")
def test_a_key_value_cache_keeps_its_tensors_whether_it_stands_by_position_or_by_keyword() -> None:
    import transformers.cache_utils as cache_utils

    cache = cache_utils.DynamicCache()
    cache.update(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), 0)
    x = torch.ones(1, 5)
    for item in ((x, cache), {"x": x, "past": cache}):
        calls = read_calls([item], takes=None)
        args, kwargs = calls.structure.bind({name: torch.from_numpy(a) for name, a in calls.samples[0].items()})
        bound = args[1] if args else kwargs["past"]
        assert type(bound) is cache_utils.DynamicCache
        assert set(calls.structure.names) == set(calls.samples[0])


@pytest.mark.parametrize(
    "wrong", [np.array([object()]), np.array(["2020-01-01"], "M8[D]"), np.zeros(2, [("a", "f4")])]
)
def test_arrays_that_no_file_of_samples_holds_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(UserInputError, match="no array of numbers, booleans or texts"):
        read_calls([wrong], takes=None)
    assert names_of(np.array(["a", "bc"], dtype=object)) == ["input__0"], "texts, as ONNX Runtime has them"
