"""Whether a build is continued once more: the decision behind ``load-build --skip-policy``.

*The same continuation* means the same tools and arguments after ``load-build``.

    build is        the same continuation was     attempted          failed             successful         none
    successful      never tried / done / failed   run / skip / skip  run / run / skip   run / skip / run   run
    not successful  any                           skip               skip               run, warned        run, warned

"Build is" means before the continuation was tried: a build that was successful until just this continuation failed
counts as successful, otherwise its row could never be reached.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.pipeline.tool import Steps

POLICIES = ("attempted", "failed", "successful", "none")

_GOOD = ("successful", "skipped")
_CONTINUES = "load-build"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to run; ``reason`` says why not, ``warning`` what to know if it runs all the same."""

    runs: bool
    reason: str = ""
    warning: str = ""


def decide(*, build_status: str, history: Sequence[Mapping[str, Any]], following: Steps, policy: str) -> Decision:
    """Apply a policy.

    Args:
        build_status: of the build as it is.
        history: of its state: ``{"sequence": [[tool, arguments], ...], "status", "time"}`` per run, oldest first.
        following: the continuation that is asked for.
        policy: one of `POLICIES`.
    """
    wanted = [[tool, dict(arguments)] for tool, arguments in following]
    tried = [_continuation(entry) == wanted for entry in history]
    before = [entry for entry, is_same in zip(history, tried, strict=True) if not is_same]
    if tried and tried[-1] and before:
        build_status = str(before[-1].get("status"))
    earlier = [str(entry.get("status")) for entry, is_same in zip(history, tried, strict=True) if is_same]
    if build_status not in _GOOD:
        if policy in ("attempted", "failed"):
            return Decision(runs=False, reason=f"the build is not successful ({build_status}); {_hint(policy)}")
        return Decision(runs=True, warning=f"this build is not successful ({build_status}); going on all the same")
    outcome = "never" if not earlier else "done" if earlier[-1] in _GOOD else "failed"
    if outcome == "done" and policy in ("attempted", "successful"):
        return Decision(runs=False, reason=f"these tools have run on this build already; {_hint(policy)}")
    if outcome == "failed" and policy in ("attempted", "failed"):
        return Decision(runs=False, reason=f"these tools were tried on this build and failed; {_hint(policy)}")
    return Decision(runs=True)


def _continuation(entry: Mapping[str, Any]) -> list[Any] | None:
    """What followed ``load-build`` in a run; None if the run did not begin with it."""
    steps = entry.get("sequence")
    if not isinstance(steps, list) or not steps or not isinstance(steps[0], list) or steps[0][0] != _CONTINUES:
        return None
    return steps[1:]


def _hint(policy: str) -> str:
    return f"--skip-policy is {policy}, none would run it"
