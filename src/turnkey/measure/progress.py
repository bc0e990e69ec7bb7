"""Where a measurement is, in plain words for whoever waits.

Who calls this does so between slices, or while a process is loaded, never while calls are timed: telling takes a
processor and a write.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from turnkey.measure.budget import Budget

Listen = Callable[[str], None]
TELL_S = 10.0
"""Within a step it is told so often how far it is; of a place where it stays, after twice as long each time."""
_AT_LEAST = "each candidate still gets its first pass"
_WHOLE = "this round is finished first"
_PASS = "this round ends with this pass"


class Progress:
    """Tells every step when it begins, and within a step now and then how far it is.

    Args:
        listen: who is told; None for nobody.
        budget: of the measurement; its clock is the one of the telling too.
    """

    def __init__(self, listen: Listen | None, budget: Budget) -> None:
        self._listen = listen
        self._budget = budget
        self._step = self._place = self._told = self._reminded = ""
        self._said_s = -TELL_S
        self._pause_s = TELL_S
        self._past_budget = _AT_LEAST
        self._passes_began_s = 0.0
        self._ends_s: float | None = None

    def say(self, text: str) -> None:
        """Tell what happened, now, unless that was the last word anyway."""
        self._said_s = self._budget.spent_s
        if self._listen is not None and text != self._told:
            self._listen(text)
        self._told = text

    def begin(self, step: str, detail: str = "") -> None:
        """A step begins; ``detail`` is told this once only."""
        self._step, self._place, self._ends_s = step, "", None
        self._past_budget = _AT_LEAST
        self.say(f"{step}: {detail}" if detail else step)

    def reach(self, place: str, *, ends_s: float | None = None) -> None:
        """The step has come to ``place``: told when the last word is ten seconds old.

        Args:
            ends_s: when the round is going to end, in seconds of the budget, if that can be said.
        """
        self._place, self._ends_s = place, ends_s
        self.remind()

    def reach_pass(self, done: int, of: int, *, is_bounded: bool) -> None:
        """So many passes of the planned ones are done, and another one begins.

        Args:
            is_bounded: a spent budget ends the round with the pass in work; otherwise all of its passes are made.
        """
        self._past_budget = _PASS if is_bounded else _WHOLE
        now = self._budget.spent_s
        if done == 0:
            self._passes_began_s = now
        if done >= of:
            self.reach(f"pass {done + 1}, more than planned: the windows do not agree yet")
            return
        began = self._passes_began_s
        self.reach(f"pass {done + 1} of {of}", ends_s=began + (now - began) / done * of if done else None)

    def remind(self) -> None:
        """Tell where it is if the last word is ten seconds old, or longer where it has not moved since."""
        spent = self._budget.spent_s
        where = f"{self._step}: {self._place}" if self._place else self._step
        if where != self._reminded:
            self._reminded, self._pause_s = where, TELL_S
        if spent < self._said_s + self._pause_s:
            return
        self._pause_s *= 2
        left = math.ceil((self._ends_s or 0.0) - spent)
        where += f", about {left:,} s left in this round" if left > 0 else ""
        self.say(f"{where}; {self._of_budget(spent)}")

    def _of_budget(self, spent: float) -> str:
        """Seconds, of how many; beyond them why it goes on."""
        limit = self._budget.seconds
        if not math.isfinite(limit):
            return f"{spent:,.0f} s"
        if spent > limit:
            return f"{spent:,.0f} s, past the budget of {limit:,.0f} s: {self._past_budget}"
        return f"{spent:,.0f} s of a budget of {limit:,.0f} s"
