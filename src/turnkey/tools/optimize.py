"""The tool ``optimize``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.measuring_arguments import MEASURING, TIES, measuring_settings, tie_order
from turnkey.tools.recommendation import GOALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from turnkey.errors import TurnkeyError
    from turnkey.pipeline.state import State
    from turnkey.runtimes.verification import VariantVerification
    from turnkey.tools.results import Results


class Optimize(Tool):
    """Make every form of the model that can be made here, and choose the best one for a goal.

    All formats that are installed are converted to, each variant is verified against the source model, and all that
    are valid are measured in one experiment, on every runtime that executes them, beside the model itself. The best
    for the goal is recommended: the shortest call, the most items per second, the smallest file, or the least memory.
    What could not be made, is wrong, or was refused is listed with its reason. Forms of lower precision are among
    them, since verification allows what their precision explains; --exact leaves them out.
    """

    name = "optimize"
    kind = ToolKind.SEQUENCE
    progress = "Trying all forms of the model"
    measures = True
    reads = "the live model or the variants of the build, and the samples"
    writes = "a variant per format; conversions, verification, measurements and the chosen candidate in the state"
    example = "turnkey -i model.py discover optimize --goal latency"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--goal",),
            default="latency",
            choices=GOALS,
            help="What the best one is best at.",
        ),
        Argument(
            flags=("--to",),
            arity=Arity.MANY,
            metavar="FORMAT",
            default_text="all that are installed",
            help="Formats to try.",
        ),
        Argument(
            flags=("--runtimes",),
            arity=Arity.MANY,
            metavar="NAME",
            default_text="all that are installed",
            help="Runtimes to measure on.",
        ),
        Argument(
            flags=("--exact",),
            arity=Arity.FLAG,
            default=False,
            help="Only forms that compute in the model's own precision.",
        ),
        TIES,
        *MEASURING,
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """The model itself is one of the candidates, unless it was an ONNX file."""
        return all(variant.exporter != "loaded" for variant in state.variants)

    def run(self, state: State, **arguments: Any) -> State:
        """Convert, verify, measure, choose.

        Raises:
            UsageError: a format or runtime that does not exist, or nothing that could be measured.
            TurnkeyError: no candidate could be measured; the error of the first.
        """
        from turnkey.pipeline.stored_source import source_of
        from turnkey.tools.contenders import contenders, made, wanted_formats, wanted_runtimes
        from turnkey.tools.race import race, verified

        source, before = source_of(state), state.results
        exact = bool(arguments.get("exact"))
        runtimes = wanted_runtimes(arguments.get("runtimes") or ())
        formats = wanted_formats(arguments.get("to") or (), runtimes=runtimes, exact=exact)
        state, failures = made(state, source, formats)
        state, verdicts = verified(state, source, [variant.key for variant in state.variants])
        candidates = contenders(state, source, runtimes, verdicts, exact=exact)
        if not candidates:
            raise UsageError(
                "there is nothing to measure: no variant is valid",
                evidence="\n".join([*failures, *_refused(verdicts)]),
                remedy="verify --explain finds what is wrong",
            )
        goal = arguments.get("goal") or "latency"
        settings = measuring_settings(state, arguments)
        found = race(state, source, candidates, settings, goal=goal, ties=tie_order(arguments))
        told = [*failures, *_refused(verdicts)]
        return _finished(found, goal=goal, told=told, otherwise=_sound(before, verdicts))


def _refused(verdicts: Mapping[str, VariantVerification | TurnkeyError]) -> Iterable[str]:
    from turnkey.runtimes.verification import VariantVerification
    from turnkey.verify import VerificationVerdict

    for key, verdict in verdicts.items():
        if not isinstance(verdict, VariantVerification):
            yield f"{key}: not verified: {verdict.what}"
        elif verdict.verdict is not VerificationVerdict.VALID:
            yield f"{key}: {verdict.verdict.value}: {verdict.reason}"


def _sound(before: str | None, verdicts: Mapping[str, VariantVerification | TurnkeyError]) -> str | None:
    """The variant before if it is right, else the first right one, of the model's own precision if there is such."""
    from turnkey.runtimes.verification import VariantVerification
    from turnkey.verify import VerificationVerdict, precision_of

    right = [
        key
        for key, verdict in verdicts.items()
        if isinstance(verdict, VariantVerification) and verdict.verdict is VerificationVerdict.VALID
    ]
    if before in right:
        return before
    return next(iter(sorted(right, key=lambda key: precision_of(key) is not None)), before)


def _finished(found: Results, *, goal: str, told: list[str], otherwise: str | None) -> State:
    """The build goes on with the variant of the best candidate; where that is the live model, with ``otherwise``.

    What was converted last is neither: it may be wrong.
    """
    state, choice = found.state, found.choice
    chosen = next((e for e in state.measurements if e.get("key") == choice.key), {})
    best = f"best for {goal}: {choice.key or 'none'}" + (f", {choice.loss}" if choice.loss else "")
    lines = [*(["not in the race:", *(f"  {line}" for line in told)] if told else []), best]
    results = chosen.get("variant") or otherwise
    return replace(state, results=results, listing="\n".join([state.listing, *lines])).with_statistics(
        optimized_for=goal, recommendation=f"{best}; {choice.sentence}"
    )
