"""Targets that exist only in this process: what the record says of them, and that they are given back."""

from __future__ import annotations

from typing import Any

import pytest

from turnkey.measure import Settings, run_in_process
from turnkey.measure.numpy_target import NumpyTarget

BRIEF = Settings(passes=2)


class Borrowing(NumpyTarget):
    """Loading takes the one thing there is from whoever has it, closing gives it back to them."""

    owner = "the user"

    def __init__(self, name: str, *, fails: type[BaseException] | None = None) -> None:
        super().__init__(kernels=1, size=8)
        self.name = name
        self.fails = fails

    def load(self) -> None:
        super().load()
        self.before, Borrowing.owner = Borrowing.owner, self.name

    def run(self, prepared: Any) -> Any:
        if self.fails is not None:
            raise self.fails("no such column")
        return super().run(prepared)

    def close(self) -> None:
        Borrowing.owner = self.before


def test_a_target_of_this_process_is_measured_and_the_record_says_that_nothing_was_replicated() -> None:
    record = run_in_process(
        {"a": NumpyTarget(kernels=2, size=500), "b": NumpyTarget(kernels=20, size=500)},
        reference="a",
        settings=Settings(passes=5),
    )
    verdict = record.verdict("b")
    assert verdict is not None
    assert verdict.kind == "SLOWER"
    assert any("replication: none" in note for note in record.summary("a").notes)


@pytest.mark.parametrize("seed", range(3))  # of the order in which they load
def test_what_was_loaded_is_closed_so_that_each_gives_back_what_it_found(seed: int) -> None:
    targets = {name: Borrowing(name, fails=KeyError if name == "b" else None) for name in "abc"}
    record = run_in_process(targets, settings=Settings(passes=2, seed=seed))
    assert record.measured == ("a", "c")
    error = record.summary("b").error
    assert error is not None
    assert "no such column" in error["what"]
    assert Borrowing.owner == "the user"


def test_an_interruption_gives_everything_back_too() -> None:
    with pytest.raises(KeyboardInterrupt):
        run_in_process({"a": Borrowing("a"), "b": Borrowing("b", fails=KeyboardInterrupt)}, settings=BRIEF)
    assert Borrowing.owner == "the user"
