"""What a call came to, as people see it."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.cli.outcome import table
from turnkey.errors import ModelError
from turnkey.launch import Result
from turnkey.launch.tally import MANY_INPUTS
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.sequence import INTERRUPTED


@pytest.mark.parametrize("inputs", [1, MANY_INPUTS])
def test_what_scripts_and_models_say_has_no_power_over_the_terminal(inputs: int, tmp_path: Path) -> None:
    error = ModelError("it says \x1b[2J", evidence="at 10 %\rat 20 %\n\x1b]0;title\x07\x9b31mred", remedy="mend it")
    result = Result(
        input="a.py",
        status="error",
        build_name="a",
        cache_dir=tmp_path,
        reason=error.what,
        failure=Failure(error=error),
    )

    shown = [table([result] * inputs), result.finished_event.text]

    assert all("it says" in text for text in shown)
    assert {character for text in shown for character in text if not character.isprintable()} == {"\n"}


@pytest.mark.parametrize("inputs", [1, MANY_INPUTS])
def test_what_was_interrupted_is_not_said_to_have_failed(inputs: int, tmp_path: Path) -> None:
    failure = Failure(error=ModelError(INTERRUPTED, evidence="Ctrl-C while convert was at work"), tool="convert")
    result = Result(input="a.py", status="killed", cache_dir=tmp_path, reason=INTERRUPTED, failure=failure)

    text = table([result] * inputs)

    assert "convert interrupted; --resume continues it" in text
    assert "failed" not in text
    assert "failures by cause" not in text
    assert "error" not in text
