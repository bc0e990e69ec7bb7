"""Failures by cause: alike ones together, different ones apart, none lost."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from turnkey.cli.causes import causes
from turnkey.cli.outcome import table
from turnkey.errors import ModelError
from turnkey.launch import Result
from turnkey.pipeline.failure import Failure


def failed(name: str, what: str, *, tool: str = "discover", status: str = "error") -> Result:
    error = ModelError(what)
    return Result(
        input=name, status=status, cache_dir=Path("/c"), reason=what, failure=Failure(error=error, tool=tool)
    )


def test_messages_that_differ_in_names_and_numbers_are_one_cause() -> None:
    found = causes(
        [
            failed("a.py", "not finished after 3 s", status="timeout"),
            failed("b.py", "cannot open /x/b.bin"),
            failed("c.py", "cannot open /y/c.bin"),
            failed("d.py", "cannot open /y/c.bin", tool="export-pytorch"),
            Result(input="e.py", status="successful", cache_dir=Path("/c")),
        ]
    )

    assert [(cause.tool, cause.inputs) for cause in found] == [
        ("discover", ("b.py", "c.py")),
        ("discover", ("a.py",)),
        ("export-pytorch", ("d.py",)),
    ]
    assert str(found[0]).startswith("2 × error  discover: cannot open /x/b.bin")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["error", "timeout", "killed", "skipped"]))))
def test_every_failure_is_in_exactly_one_cause(kinds: list[tuple[str, str]]) -> None:
    results = [failed(str(index), what, status=status) for index, (what, status) in enumerate(kinds)]

    counted = [name for cause in causes(results) for name in cause.inputs]

    assert sorted(counted) == sorted(result.input for result in results if result.status != "skipped")


def test_the_table_of_many_inputs_tells_causes_and_that_of_few_tells_each_error() -> None:
    many = [failed(f"m{index}.py", f"cannot open /x/{index}.bin") for index in range(20)]

    assert table(many).count("cannot open") == 1
    assert "20 × error" in table(many)
    assert "m0.py, m1.py, m2.py and 17 more" in table(many)
    assert table(many[:2]).count("cannot open") == 2
