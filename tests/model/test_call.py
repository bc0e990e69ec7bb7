"""A call as named arrays, with what only transformers' caches need."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.model.call import CallStructure, flatten_call, flatten_result
from turnkey.model.torch_bridge import is_tensor

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(max_size=3), st.builds(torch.zeros, st.integers(0, 3))
)
ARGUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.tuples(inner, inner), st.dictionaries(st.text(max_size=2), inner, max_size=2)
    ),
    max_leaves=6,
)


def same(first: object, second: object) -> bool:
    if isinstance(first, torch.Tensor):
        return first is second
    if isinstance(first, dict):
        return (
            isinstance(second, dict)
            and first.keys() == second.keys()
            and all(same(first[k], second[k]) for k in first)
        )
    if isinstance(first, (list, tuple)):
        return (
            type(first) is type(second)
            and len(first) == len(second)
            and all(same(a, b) for a, b in zip(first, second, strict=True))
        )
    return type(first) is type(second) and first == second


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(ARGUMENTS, max_size=3), st.dictionaries(st.sampled_from(["p", "q"]), ARGUMENTS, max_size=2))
def test_arguments_come_back_from_their_tensors_also_through_plain_data(args: list, kwargs: dict) -> None:
    tensors, structure = flatten_call(args, kwargs, ["x", "y", "z"], is_tensor=is_tensor)
    written = CallStructure.from_dict(structure.to_dict())
    if len(tensors) == len(structure.names):  # a key that holds a dot can give two tensors one name
        bound_args, bound_kwargs = written.bind(tensors)
        assert same(tuple(args), bound_args)
        assert same(kwargs, bound_kwargs)


@pytest.mark.needs("transformers")
def test_a_key_value_cache_becomes_two_tensors_per_layer_and_is_built_anew_for_every_call() -> None:
    import transformers.cache_utils as cache_utils

    cache = cache_utils.DynamicCache([(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))])

    tensors, structure = flatten_call((), {"past": cache}, [], is_tensor=is_tensor)

    assert list(tensors) == ["past.0.key", "past.0.value"]
    assert structure.is_portable
    assert structure.holds_cache
    structure = CallStructure.from_dict(structure.to_dict())
    _, first = structure.bind(tensors)
    first["past"].update(torch.ones(1, 2, 1, 4), torch.ones(1, 2, 1, 4), 0)
    _, second = structure.bind(tensors)
    assert first["past"].get_seq_length() == 4
    assert second["past"].get_seq_length() == 3
    assert torch.equal(second["past"].layers[0].keys, cache.layers[0].keys)


@pytest.mark.needs("transformers")
def test_an_empty_cache_takes_no_tensors_and_a_returned_one_gives_its_layers() -> None:
    import transformers.cache_utils as cache_utils

    tensors, structure = flatten_call((cache_utils.DynamicCache(),), {}, ["past"], is_tensor=is_tensor)
    assert tensors == {}
    (empty,), _ = structure.bind({})
    assert empty.get_seq_length() == 0

    filled = cache_utils.DynamicCache([(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))])
    both = cache_utils.EncoderDecoderCache(filled, filled)
    result = {"logits": torch.ones(1), "past": filled, "cross": both}
    assert list(flatten_result(result, is_tensor=is_tensor)) == [
        "logits",
        "past.0.key",
        "past.0.value",
        "cross.self.0.key",
        "cross.self.0.value",
        "cross.cross.0.key",
        "cross.cross.0.value",
    ]
