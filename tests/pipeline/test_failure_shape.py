"""Messages of one cause have one shape."""

from __future__ import annotations

import pytest

from turnkey.pipeline.failure_shape import by_cause, shape_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("not finished after 12 s", "not finished after 3600 s"),
        ("cannot open /a/b/c.onnx: no such file", "cannot open /home/x.onnx: no such file"),
        ("module 'net' has no attribute 'a'", "module 'bert' has no attribute 'weights'"),
        ("object at 0x7f00aa12", "object at 0x55d0c0ffee"),
        ("hash 479b1332 is unknown", "hash ab00ff12 is unknown"),
    ],
)
def test_names_paths_and_numbers_do_not_separate(one: str, other: str) -> None:
    assert shape_of(one) == shape_of(other)


def test_another_cause_is_another_shape() -> None:
    assert shape_of("the process ended: signal SIGSEGV") != shape_of("the process ended: signal SIGKILL")
    assert shape_of("defaced") == "defaced"


def test_what_failed_at_one_place_for_one_cause_stands_together_the_most_frequent_first() -> None:
    said = [("verify", "a is off by 1"), ("discover", "no 'x'"), ("discover", "no 'y'"), ("export", "no 'x'")]
    found = by_cause(said, place=lambda each: each[0], message=lambda each: each[1])
    assert found == [[said[1], said[2]], [said[0]], [said[3]]]
