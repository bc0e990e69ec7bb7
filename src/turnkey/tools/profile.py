"""The tool ``profile``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.pipeline.quantity import positive_count
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.benchmark import Benchmark
from turnkey.tools.candidate_arguments import CANDIDATES, asked_candidates, refuse_both
from turnkey.tools.measuring_arguments import effort, measuring_settings, threads

if TYPE_CHECKING:
    from turnkey.pipeline.state import State

_LARGEST_BATCH = 1024
_EFFORT = "quick"


class Profile(Tool):
    """Measure latency and throughput over batch sizes, each candidate until its throughput stops growing.

    At each batch size all candidates that still climb are measured in one experiment, with inputs made from the
    captured ones and outputs compared with the source model's. Batch sizes are 1, 2, 4 and so on until one brings less
    than 5 % more items per second, or memory would not suffice; or those that are given, all of them. The report draws
    the curves. For clients at once in place of larger batches: benchmark --load concurrency.
    """

    name = "profile"
    kind = ToolKind.SEQUENCE
    progress = "Measuring batch sizes"
    measures = True
    reads = "the live model, the newest variant, the samples"
    writes = "runs/<id>/batch-<n>.zip; the curve of each candidate in the state"
    example = "turnkey -i model.py discover export-pytorch verify profile --runtimes torch onnxruntime"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--batch-sizes",),
            arity=Arity.MANY,
            parse=positive_count,
            metavar="N",
            default_text="1 2 4 … until throughput stops growing",
            help="Measure all of these.",
        ),
        Argument(
            flags=("--max-batch-size",),
            parse=positive_count,
            metavar="N",
            default_text=str(_LARGEST_BATCH),
            help="Largest batch size where none are given.",
        ),
        *CANDIDATES,
        effort("Of each batch size: quick is one process each, standard and rigorous are several.", default=_EFFORT),
        threads(),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """As benchmark does."""
        return Benchmark.needs_live_model(state, **arguments)

    @classmethod
    def plan(cls, statistics: Mapping[str, Any], **arguments: Any) -> str:
        """What would be measured, and what that would cost per batch size."""
        from turnkey.tools.benchmark_plan import plan_text  # numpy, through the engine: only for a dry run

        sizes = arguments.get("batch_sizes")
        which = ", ".join(map(str, sizes)) if sizes else "1, 2, 4, … until throughput stops growing"
        return f"batch sizes {which}; at each {plan_text(statistics, {'effort': _EFFORT, **arguments})}"

    def run(self, state: State, **arguments: Any) -> State:
        """Measure.

        Raises:
            UsageError: arguments that contradict each other, or no candidate whose batch size is free.
            MissingDependencyError: a runtime is not installed.
            ModelError: the model fails at the first batch size, or cannot leave this process.
            TurnkeyError: no candidate could be measured; the error of the first.
        """
        from turnkey.measure import LadderRule
        from turnkey.pipeline.stored_source import source_of
        from turnkey.runtimes.reference import Reference
        from turnkey.tools.batch_curve import climbed
        from turnkey.tools.batch_samples import free_batch
        from turnkey.tools.experiment import rotated

        sizes, largest = arguments.get("batch_sizes"), arguments.get("max_batch_size")
        for one, other in (("runtime", "runtimes"), ("max_batch_size", "batch_sizes")):
            refuse_both(arguments, one, other)
        source = source_of(state)
        samples = rotated(source.samples)
        candidates, signature = free_batch(asked_candidates(state, source, arguments), samples)
        settings = measuring_settings(state, {**arguments, "effort": arguments.get("effort") or _EFFORT})
        rule = LadderRule(max_batch_size=largest or _LARGEST_BATCH, on_unstable="flag")
        if sizes:
            rule = LadderRule(batch_sizes=tuple(sizes), throughput_cutoff_threshold=None, on_unstable="flag")
        reference = Reference(source)
        try:
            return climbed(state, reference, samples, candidates, signature, rule=rule, settings=settings)
        finally:
            reference.close()
