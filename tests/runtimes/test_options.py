"""Options of runtimes as users write them."""

from __future__ import annotations

import pytest

from turnkey.errors import UsageError
from turnkey.runtimes import parse_runtime_arguments


def test_texts_lists_and_flags_are_told_apart():
    options = parse_runtime_arguments(["mode::max-autotune", "provider::[CUDA, CPU]", "fullgraph", "url::a::b"])
    assert options == {"mode": "max-autotune", "provider": ["CUDA", "CPU"], "fullgraph": True, "url": "a::b"}


@pytest.mark.parametrize("texts", [["::value"], ["a::1", "a::2"], ["a::[1,2"], [""]])
def test_what_cannot_be_read_is_a_usage_error_that_shows_it(texts):
    with pytest.raises(UsageError, match="--rt-args") as caught:
        parse_runtime_arguments(texts)
    assert caught.value.remedy
