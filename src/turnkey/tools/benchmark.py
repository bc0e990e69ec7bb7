"""The tool ``benchmark``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import MeasurementInvalid, UsageError
from turnkey.pipeline.quantity import count, positive_count, positive_number
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.candidate_arguments import CANDIDATES, asked_candidates, refuse_both
from turnkey.tools.measuring_arguments import OBJECTIVES, TIES, effort, tie_order
from turnkey.tools.thread_counts import parse_threads, thread_counts

if TYPE_CHECKING:
    from turnkey.measure import Settings
    from turnkey.pipeline.state import State

LOADS = ("concurrency", "server", "offline")
_OF_LOAD = ("clients", "load_seconds", "p99_bound_ms", "p95_bound_ms", "p90_bound_ms")
"""Arguments that mean something under a load only."""
_NOT_OF_LOAD = ("iterations", "budget", "objective", "ties", "details")


def parse_clients(text: str) -> str:
    """``1,2,4``, as it was written."""
    for part in text.split(","):
        positive_count(part)
    return text


class Benchmark(Tool):
    """Measure how fast the model runs, so that the verdict can be relied on.

    All runtimes are measured in one experiment: fresh processes, interleaved in short slices, warmed up, with their
    outputs checked against the source model. The result is a latency with its interval, percentiles of all timed
    calls, throughput, memory, and how much faster each is than torch (else than the first). The fastest candidate
    whose variant is verified and whose comparison is valid is recommended; what is not verified never is.
    torch and torch-compile execute the model of the script, the other runtimes its newest variant.

    With --load each candidate bears a load instead: several clients at once, queries that arrive when they please, or
    everything at once.
    """

    name = "benchmark"
    kind = ToolKind.SEQUENCE
    progress = "Benchmarking"
    measures = True
    reads = "the live model, the newest variant, the samples, verification in the state"
    writes = "runs/<id>.zip with every timed call; measurements and the chosen candidate in the state"
    example = "turnkey -i model.py discover export-pytorch verify benchmark --runtimes torch torch-compile onnxruntime"
    arguments: ClassVar[tuple[Argument, ...]] = (
        *CANDIDATES,
        Argument(
            flags=("--iterations",),
            parse=positive_count,
            metavar="N",
            default_text="by effort, until the result is decided",
            help="Make exactly N timed calls of each candidate.",
        ),
        effort("quick: one process each, differences of 10 %; standard: 5 %; rigorous: 2 to 3 %."),
        Argument(
            flags=("--threads",),
            parse=parse_threads,
            metavar="N",
            default_text="the processor cores that this process may use",
            help="Threads of every runtime; 1,2,4 compares these counts, auto half the cores, the cores and all CPUs.",
        ),
        Argument(
            flags=("--seed",),
            parse=count,
            metavar="N",
            default_text="the global --seed",
            help="Seed of the order in which candidates run.",
        ),
        Argument(
            flags=("--budget",),
            parse=positive_number,
            metavar="S",
            default_text="600; 1800 with effort rigorous",
            help=(
                "Seconds after which no further round begins, and no further pass but each candidate's first; with "
                "--iterations or --objective p90 or p99 the round in work is finished. What is undecided stays so."
            ),
        ),
        Argument(
            flags=("--objective",),
            choices=OBJECTIVES,
            default_text="median",
            help="What of a round's calls is compared; p90 takes 36 calls in each round, p99 368.",
        ),
        TIES,
        Argument(
            flags=("--inputs",),
            default="rotate",
            choices=("rotate", "same"),
            help="rotate: eight inputs in turn; same: one again and again, whose data may stay in the caches.",
        ),
        Argument(
            flags=("--details",),
            arity=Arity.FLAG,
            default=False,
            help="Also show what starting costs and when it is paid back, processor time and energy per call.",
        ),
        Argument(
            flags=("--strict",),
            arity=Arity.FLAG,
            default=False,
            help="Fail where a result is INVALID: with what was measured kept, and an exit code.",
        ),
        Argument(
            flags=("--cold-cache",),
            arity=Arity.FLAG,
            default=False,
            help="On a GPU: overwrite its cache before each timed call, outside of what is timed.",
        ),
        Argument(
            flags=("--lock-clocks",),
            arity=Arity.FLAG,
            default=False,
            help="On a GPU: lock its clock at the default while it is measured; takes the rights of root.",
        ),
        Argument(
            flags=("--load",),
            choices=LOADS,
            help="concurrency: clients that call again at once; server: queries at random times; offline: all at once",
        ),
        Argument(
            flags=("--clients",),
            parse=parse_clients,
            metavar="N,N",
            default_text="1,2,4,8",
            help="Numbers of clients for --load concurrency, one after another.",
        ),
        *(
            Argument(
                flags=(f"--p{percent}-bound-ms",),
                parse=positive_number,
                metavar="MS",
                help=f"For --load server: {percent} % of the queries must be answered within so long.",
            )
            for percent in (99, 95, 90)
        ),
        Argument(
            flags=("--load-seconds",),
            parse=positive_number,
            metavar="S",
            default_text="10",
            help="How long each level of --load lasts.",
        ),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Where a torch runtime is asked for, or nothing is stored that another could execute."""
        names = [*(arguments.get("runtimes") or ()), *filter(None, [arguments.get("runtime")])]
        if not names:
            return not state.variants
        from turnkey.runtimes import find_runtime

        return any("torch" in find_runtime(name).executes for name in names)

    @classmethod
    def plan(cls, statistics: Mapping[str, Any], **arguments: Any) -> str:
        """What would be measured, and what that would cost."""
        from turnkey.tools.benchmark_plan import plan_text  # numpy, through the engine: only for a dry run

        return plan_text(statistics, arguments)

    def run(self, state: State, **arguments: Any) -> State:
        """Measure.

        Raises:
            UsageError: arguments that contradict each other, or nothing to measure.
            MissingDependencyError: a runtime is not installed.
            MeasurementInvalid: ``strict``, and some reason of validity holds; the state with the results is in it.
            TurnkeyError: no candidate could be measured; the error of the first.
        """
        from turnkey.pipeline.stored_source import source_of
        from turnkey.tools.candidates import at_thread_counts
        from turnkey.tools.experiment import compared, gpu_clocks, rotated
        from turnkey.tools.results import results_of
        from turnkey.tools.verdicts import with_reference_outputs

        refuse_both(arguments, "runtime", "runtimes")
        idle = [name for name in _OF_LOAD if arguments.get(name) is not None and not arguments.get("load")]
        if idle:
            raise UsageError(
                f"--{idle[0].replace('_', '-')} says how to load, and no load is asked for",
                remedy="benchmark --load concurrency|server|offline",
            )
        strange = [name for name in _NOT_OF_LOAD if arguments.get(name) and arguments.get("load")]
        if strange:
            raise UsageError(
                f"--{strange[0]} is for single calls one after another, and --load makes others",
                remedy=f"leave --{strange[0]} out; --load-seconds says how long a level lasts",
            )
        counts = thread_counts(arguments.get("threads"))
        source = source_of(state)
        candidates = at_thread_counts(asked_candidates(state, source, arguments), counts)
        settings = settings_of(arguments, counts, seed=state.environment.get("seed", 0))
        state, complete = with_reference_outputs(state, source)
        samples = rotated(complete)
        with gpu_clocks(candidates[0].device, lock=bool(arguments.get("lock_clocks")), cache_dir=state.cache_dir):
            if arguments.get("load"):
                from turnkey.tools.load_shape import loaded, shape_of

                settings = replace(settings, strict=bool(arguments.get("strict")))
                return loaded(state, source, samples, candidates, shape=shape_of(arguments), settings=settings)
            record, notes = compared(state, source, samples, candidates, settings)
        with_details = bool(arguments.get("details"))
        ties = tie_order(arguments)
        state = results_of(
            state, source, samples, candidates, record, notes, with_details=with_details, ties=ties
        ).state
        if arguments.get("strict"):
            try:
                record.require_valid()
            except MeasurementInvalid as invalid:
                invalid.state = state  # what was measured is kept; the exit code says that it must not be used
                raise
        return state


def settings_of(arguments: Mapping[str, Any], counts: tuple[int, ...], *, seed: int) -> Settings:
    """Settings of the engine from the arguments of the tool.

    Args:
        counts: of threads; several are compared.
        seed: where the arguments name none.
    """
    from turnkey.measure import Settings

    return Settings(
        effort=arguments.get("effort") or "standard",
        iterations=arguments.get("iterations"),
        threads=counts[0] if len(counts) == 1 else None,
        compare_threads=len(counts) > 1,
        seed=seed if arguments.get("seed") is None else arguments["seed"],
        cold_cache=bool(arguments.get("cold_cache")),
        budget_s=arguments.get("budget"),
        objective=arguments.get("objective") or "median",
        inputs=arguments.get("inputs") or "rotate",
    )
