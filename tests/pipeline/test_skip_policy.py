"""All sixteen cells of the table of ``load-build --skip-policy``."""

from __future__ import annotations

from typing import Any

import pytest

from turnkey.pipeline.skip_policy import POLICIES, decide
from turnkey.pipeline.tool import Steps

FOLLOWING: Steps = (("benchmark", {"runtime": "torch"}),)
MADE = {"sequence": [["discover", {}], ["export-pytorch", {}]], "status": "successful", "time": "t0"}


def tried(status: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    steps = [["load-build", {"skip_policy": "none"}], ["benchmark", {"runtime": "torch"} | (arguments or {})]]
    return {"sequence": steps, "status": status, "time": "t1"}


HISTORIES = {
    "never": ([MADE], "successful"),
    "done": ([MADE, tried("successful")], "successful"),
    "failed": ([MADE, tried("error")], "error"),
    "bad": ([{**MADE, "status": "error"}], "error"),
}

TABLE = {
    "never": {"attempted": "run", "failed": "run", "successful": "run", "none": "run"},
    "done": {"attempted": "skip", "failed": "run", "successful": "skip", "none": "run"},
    "failed": {"attempted": "skip", "failed": "skip", "successful": "run", "none": "run"},
    "bad": {"attempted": "skip", "failed": "skip", "successful": "warned", "none": "warned"},
}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("row", TABLE)
def test_each_cell_of_the_table(row: str, policy: str) -> None:
    history, status = HISTORIES[row]

    decision = decide(build_status=status, history=history, following=FOLLOWING, policy=policy)

    assert decision.runs == (TABLE[row][policy] != "skip")
    assert bool(decision.reason) == (not decision.runs)
    assert bool(decision.warning) == (TABLE[row][policy] == "warned")


def test_other_arguments_are_another_continuation() -> None:
    history = [MADE, tried("successful", {"iterations": 5})]

    assert decide(build_status="successful", history=history, following=FOLLOWING, policy="attempted").runs


def test_the_latest_attempt_counts() -> None:
    history = [MADE, tried("error"), tried("successful")]

    assert not decide(build_status="successful", history=history, following=FOLLOWING, policy="successful").runs


def test_a_build_on_which_another_continuation_failed_is_not_successful() -> None:
    history = [MADE, tried("error", {"iterations": 5})]

    assert not decide(build_status="error", history=history, following=FOLLOWING, policy="attempted").runs


def test_an_interrupted_build_is_not_successful() -> None:
    decision = decide(build_status="killed", history=[MADE], following=FOLLOWING, policy="none")

    assert decision.runs
    assert "killed" in decision.warning
