"""The wall time that a measurement may take."""

from __future__ import annotations

import time
from collections.abc import Callable

BUDGET_SPENT = "the time budget of"
"""How the note of an experiment begins that was ended by it."""


class Budget:
    """Counts from its construction on.

    Args:
        seconds: after which no further round begins, and of a round whose length is not fixed no further pass;
            infinite without a limit.
        clock: monotonic seconds.
    """

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._clock = clock
        self._began = clock()

    @property
    def spent_s(self) -> float:
        """Seconds since the start."""
        return self._clock() - self._began

    @property
    def is_spent(self) -> bool:
        return self.spent_s > self.seconds
