"""Options of runtimes as users write them."""

from __future__ import annotations

import pytest

from turnkey.errors import UsageError
from turnkey.runtimes import parse_runtime_arguments
from turnkey.runtimes.options import chosen


def test_texts_lists_and_flags_are_told_apart():
    options = parse_runtime_arguments(["mode::max-autotune", "provider::[CUDA, CPU]", "fullgraph", "url::a::b"])
    assert options == {"mode": "max-autotune", "provider": ["CUDA", "CPU"], "fullgraph": True, "url": "a::b"}


@pytest.mark.parametrize("texts", [["::value"], ["a::1", "a::2"], ["a::[1,2"], [""]])
def test_what_cannot_be_read_is_a_usage_error_that_shows_it(texts):
    with pytest.raises(UsageError, match="--rt-args") as caught:
        parse_runtime_arguments(texts)
    assert caught.value.remedy


def test_a_value_that_an_option_cannot_have_is_refused_with_those_that_it_can():
    assert chosen("mode", "fast", ("slow", "fast")) == "fast"
    for wrong in ("quick", ["fast"], None):
        with pytest.raises(UsageError, match="mode cannot be") as caught:
            chosen("mode", wrong, {"slow": 1, "fast": 2})
        assert caught.value.evidence == "one of: slow, fast"
