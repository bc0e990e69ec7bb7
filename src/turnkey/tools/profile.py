"""The tool ``profile``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.quantity import count, positive_count
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.tools.benchmark import EFFORTS, Benchmark, parse_device, parse_runtime, parse_runtime_option

if TYPE_CHECKING:
    from turnkey.pipeline.state import State

_LARGEST_BATCH = 1024


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
        Argument(
            flags=("--device",),
            parse=parse_device,
            default="cpu",
            metavar="DEVICE",
            help="Where the model runs: cpu (also called x86), cuda.",
        ),
        Argument(
            flags=("--runtime",),
            parse=parse_runtime,
            metavar="NAME",
            default_text="the first that executes the newest variant",
            help="What executes the model: torch, torch-compile, onnxruntime; see turnkey system-info.",
        ),
        Argument(
            flags=("--runtimes",),
            arity=Arity.MANY,
            parse=parse_runtime,
            metavar="NAME",
            help="Several runtimes, compared at each batch size.",
        ),
        Argument(
            flags=("--variants",),
            arity=Arity.MANY,
            metavar="KEY",
            default_text="the newest that a runtime executes",
            help="Variants to measure, such as onnx onnx-opt.",
        ),
        Argument(
            flags=("--rt-args",),
            arity=Arity.MANY,
            parse=parse_runtime_option,
            metavar="KEY::VALUE",
            help="Options of the runtime, as of benchmark.",
        ),
        Argument(
            flags=("--effort",),
            default="quick",
            choices=EFFORTS,
            help="Of each batch size: quick is one process each, standard and rigorous are several.",
        ),
        Argument(
            flags=("--threads",),
            parse=positive_count,
            metavar="N",
            default_text="the processor cores that this process may use",
            help="Threads of every runtime.",
        ),
        Argument(
            flags=("--seed",),
            parse=count,
            metavar="N",
            default_text="the global --seed",
            help="Seed of the order in which candidates run.",
        ),
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
        return f"batch sizes {which}; at each {plan_text(statistics, {'effort': 'quick', **arguments})}"

    def run(self, state: State, **arguments: Any) -> State:
        """Measure.

        Raises:
            UsageError: arguments that contradict each other, or no candidate whose batch size is free.
            MissingDependencyError: a runtime is not installed.
            ModelError: the model fails at the first batch size, or cannot leave this process.
            TurnkeyError: no candidate could be measured; the error of the first.
        """
        from turnkey.measure import LadderRule, Settings
        from turnkey.pipeline.stored_source import source_of
        from turnkey.runtimes import parse_runtime_arguments
        from turnkey.runtimes.reference import Reference
        from turnkey.tools.batch_curve import climbed
        from turnkey.tools.batch_samples import free_batch
        from turnkey.tools.candidates import candidates_of
        from turnkey.tools.experiment import rotated

        sizes, largest = arguments.get("batch_sizes"), arguments.get("max_batch_size")
        for one, other in (("runtime", "runtimes"), ("max_batch_size", "batch_sizes")):
            if arguments.get(one) and arguments.get(other):
                first, second = (f"--{name.replace('_', '-')}" for name in (one, other))
                raise UsageError(f"{first} and {second} say the same thing; give one of them")
        source = source_of(state)
        candidates = candidates_of(
            state,
            source,
            runtimes=arguments.get("runtimes") or list(filter(None, [arguments.get("runtime")])),
            variants=arguments.get("variants") or (),
            device=parse_device(str(arguments.get("device") or "cpu")),
            options=parse_runtime_arguments(arguments.get("rt_args") or ()),
        )
        samples = rotated(source.samples)
        candidates, signature = free_batch(candidates, samples)
        seed = arguments.get("seed")
        settings = Settings(
            effort=arguments.get("effort") or "quick",
            threads=arguments.get("threads"),
            seed=int(state.environment.get("seed", 0) if seed is None else seed),
        )
        rule = LadderRule(max_batch_size=largest or _LARGEST_BATCH, on_unstable="flag")
        if sizes:
            rule = LadderRule(batch_sizes=tuple(sizes), throughput_cutoff_threshold=None, on_unstable="flag")
        reference = Reference(source)
        try:
            return climbed(state, reference, samples, candidates, signature, rule=rule, settings=settings)
        finally:
            reference.close()
