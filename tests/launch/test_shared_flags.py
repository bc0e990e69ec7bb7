"""What a worker tells its warden without a word."""

from __future__ import annotations

from turnkey.launch.shared_flags import Flags
from turnkey.pipeline.events import Event


def event(kind: str, *, measures: bool = False) -> Event:
    return Event(kind=kind, input="a.py", tool="benchmark", measures=measures)


def test_a_tool_that_tells_how_far_it_is_still_measures_and_must_not_be_disturbed() -> None:
    flags = Flags()
    flags.follow(event("tool-started", measures=True))
    flags.follow(event("tool-progress"))
    flags.follow(event("note"))
    assert flags.measures
    flags.follow(event("tool-finished"))
    assert not flags.measures


def test_time_counts_as_waited_from_the_word_that_it_waits_until_the_tool_starts() -> None:
    flags = Flags()
    flags.follow(event("tool-waiting"))
    flags.follow(event("note"))
    assert flags.waits
    flags.follow(event("tool-started", measures=True))
    assert not flags.waits
    assert flags.waited_seconds > 0
