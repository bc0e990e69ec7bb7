"""The tool ``benchmark``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError, from_dict
from turnkey.pipeline.quantity import count, positive_count
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from pathlib import Path

    from turnkey.measure import Record, Settings
    from turnkey.model.samples import SampleSet
    from turnkey.model.source import SourceModel
    from turnkey.pipeline.state import State
    from turnkey.tools.candidates import Candidate

EFFORTS = ("quick", "standard", "rigorous")
_DEVICES = {"x86": "cpu"}
_ROTATED_SAMPLES = 8


def parse_device(text: str) -> str:
    """``cpu``, ``cuda``, ``cuda:1``; the original's ``x86`` is the processor."""
    return _DEVICES.get(text, text)


def parse_runtime(text: str) -> str:
    """A runtime by its name or alias."""
    from turnkey.runtimes.lookup import known_runtime  # finds plug-ins: only when the option is given

    return known_runtime(text)


def parse_runtime_option(text: str) -> str:
    """One word of ``--rt-args``, checked."""
    from turnkey.runtimes.options import parse_runtime_arguments

    try:
        parse_runtime_arguments([text])
    except UsageError as error:
        raise ValueError(error.evidence) from None
    return text


class Benchmark(Tool):
    """Measure how fast the model runs, so that the verdict can be relied on.

    All runtimes are measured in one experiment: fresh processes, interleaved in short slices, warmed up, with their
    outputs checked against the source model. The result is a latency with its interval, percentiles of all timed
    calls, throughput, memory, and how much faster each is than torch (else than the first). The fastest candidate
    whose variant is verified and whose comparison is valid is recommended; what is not verified never is.
    torch and torch-compile execute the model of the script, the other runtimes its newest variant.
    """

    name = "benchmark"
    kind = ToolKind.SEQUENCE
    progress = "Benchmarking"
    measures = True
    reads = "the live model, the newest variant, the samples, verification in the state"
    writes = "runs/<id>.zip with every timed call; measurements and the chosen candidate in the state"
    example = "turnkey -i model.py discover export-pytorch verify benchmark --runtimes torch torch-compile onnxruntime"
    arguments: ClassVar[tuple[Argument, ...]] = (
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
            help="Several runtimes, measured in one experiment and compared.",
        ),
        Argument(
            flags=("--variants",),
            arity=Arity.MANY,
            metavar="KEY",
            default_text="the newest that a runtime executes",
            help="Variants to measure, such as onnx onnx-opt.",
        ),
        Argument(
            flags=("--iterations",),
            parse=positive_count,
            metavar="N",
            default_text="by effort, until the result is decided",
            help="Make exactly N timed calls of each candidate.",
        ),
        Argument(
            flags=("--rt-args",),
            arity=Arity.MANY,
            parse=parse_runtime_option,
            metavar="KEY::VALUE",
            help="Options of the runtime: key::value, key::[a,b] or a word; RUNTIME.key::value for one of several.",
        ),
        Argument(
            flags=("--effort",),
            default="standard",
            choices=EFFORTS,
            help="quick: one process each, differences of 10 %; standard: 5 %; rigorous: 2 to 3 %.",
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
        """Where a torch runtime is asked for, or nothing is stored that another could execute."""
        names = [*(arguments.get("runtimes") or ()), *filter(None, [arguments.get("runtime")])]
        if not names:
            return not state.variants
        from turnkey.runtimes import find_runtime

        return any("torch" in find_runtime(name).executes for name in names)

    def run(self, state: State, **arguments: Any) -> State:
        """Measure.

        Raises:
            UsageError: arguments that contradict each other, or nothing to measure.
            MissingDependencyError: a runtime is not installed.
            TurnkeyError: no candidate could be measured; the error of the first.
        """
        from turnkey.measure import Settings
        from turnkey.pipeline.stored_source import source_of
        from turnkey.runtimes import parse_runtime_arguments
        from turnkey.runtimes.reference import Reference
        from turnkey.tools.candidates import candidates_of
        from turnkey.tools.verdicts import keep_reference_outputs

        if arguments.get("runtime") and arguments.get("runtimes"):
            raise UsageError("--runtime and --runtimes say the same thing; give one of them")
        source = source_of(state)
        candidates = candidates_of(
            state,
            source,
            runtimes=arguments.get("runtimes") or list(filter(None, [arguments.get("runtime")])),
            variants=arguments.get("variants") or (),
            device=parse_device(str(arguments.get("device") or "cpu")),
            options=parse_runtime_arguments(arguments.get("rt_args") or ()),
        )
        settings = Settings(
            effort=arguments.get("effort") or "standard",
            iterations=arguments.get("iterations"),
            threads=arguments.get("threads"),
            seed=state.environment.get("seed", 0) if arguments.get("seed") is None else arguments["seed"],
        )
        reference = Reference(source)
        try:
            state, complete = keep_reference_outputs(state, reference)
        finally:
            reference.close()
        rotated = replace(
            complete, inputs=complete.inputs[:_ROTATED_SAMPLES], outputs=complete.outputs[:_ROTATED_SAMPLES]
        )
        record, notes = _measured(state, source, rotated, candidates, settings)
        if not record.measured:
            error = record.summary(candidates[0].key).error
            raise from_dict(dict(error or {"what": "nothing could be measured"}))
        return _with_results(state, source, rotated, candidates, record, notes)


def _measured(
    state: State, source: SourceModel, samples: SampleSet, candidates: list[Candidate], settings: Settings
) -> tuple[Record, list[str]]:
    """One experiment over all candidates; in this process where the live model cannot leave it."""
    from turnkey.measure import run_experiment
    from turnkey.runtimes.handover import UNREADABLE, HandoverImpossible, handed_over

    live = [candidate.key for candidate in candidates if candidate.variant is None]
    try:
        with handed_over(source, samples, with_module=bool(live)) as handover:
            record = run_experiment(
                [candidate.description(handover) for candidate in candidates],
                reference=_reference(candidates),
                settings=settings,
                path=_record_path(state, candidates, settings),
                listen=_log,
            )
        errors = [record.summary(key).error or {} for key in live]
        reason = next((str(error["evidence"]) for error in errors if error.get("what") == UNREADABLE), "")
        if not reason:
            return record, []
    except HandoverImpossible as impossible:
        reason = str(impossible)
    note = f"measured in this process, without fresh ones: the model cannot leave it ({reason})"
    _log(note)
    return _measured_here(state, source, samples, candidates, settings), [note]


def _measured_here(
    state: State, source: SourceModel, samples: SampleSet, candidates: list[Candidate], settings: Settings
) -> Record:
    from turnkey.host import fair_threads
    from turnkey.measure import run_in_process
    from turnkey.runtimes.torch_eager import left_as_it_was

    assert source.module is not None, "only a live model can fail to leave this process"
    threads = settings.threads or fair_threads()
    targets = {candidate.key: candidate.target(source, samples, threads=threads) for candidate in candidates}
    # Runners load in shuffled order, so that what each of them restores is not what was at the start.
    with left_as_it_was(source.module):
        try:
            return run_in_process(
                targets,
                reference=_reference(candidates),
                settings=replace(settings, threads=threads),
                path=_record_path(state, candidates, settings),
                listen=_log,
                facts={candidate.key: candidate.facts() for candidate in candidates},
            )
        finally:
            for target in targets.values():
                target.close()


def _reference(candidates: list[Candidate]) -> str | None:
    """What the others are compared with: torch, else the first; one candidate alone is compared with nothing."""
    keys = [candidate.key for candidate in candidates]
    return None if len(keys) == 1 else "torch" if "torch" in keys else keys[0]


def _log(text: str) -> None:
    print(text, flush=True)


def _record_path(state: State, candidates: list[Candidate], settings: Settings) -> Path:
    """``runs/<UTC time>-<digest of the plan>.zip``; an unfinished record of the same plan is taken up again."""
    import hashlib
    import json
    from datetime import UTC, datetime

    from turnkey.pipeline.build import BuildPaths

    plan = [[c.key, c.facts()] for c in candidates], settings.to_json()
    digest = hashlib.sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()[:6]
    directory = BuildPaths(state.cache_dir, state.build_name).records
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = sorted(directory.glob(f"*-{digest}.growing"))
    if unfinished:
        return unfinished[-1].with_suffix(".zip")
    return directory / f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}-{digest}.zip"


def _with_results(
    state: State,
    source: SourceModel,
    samples: SampleSet,
    candidates: list[Candidate],
    record: Record,
    notes: list[str],
) -> State:
    from turnkey.pipeline.build import BuildPaths
    from turnkey.tools.benchmark_table import benchmark_table
    from turnkey.tools.measurements import measurement_entry, verification_of, with_performance_statistics
    from turnkey.tools.recommendation import recommend
    from turnkey.verify import batch_size

    batch = batch_size(samples.inputs[0])
    sizes = {c.key: source.parameter_bytes if c.variant is None else c.variant.size_bytes for c in candidates}
    verified = {c.key: verification_of(state, c, record) for c in candidates}
    choice = recommend(record, verification=verified, size_bytes=sizes)
    assert record.path is not None, "the experiment was given a path"
    where = BuildPaths(state.cache_dir, state.build_name).relative(record.path)
    entries = [
        measurement_entry(c, record, batch=batch, size_bytes=sizes[c.key], verification=verified[c.key], path=where)
        for c in candidates
    ]
    kept = tuple(entry for entry in state.measurements if entry.get("key") not in verified)
    told = [benchmark_table(record, batch=batch, size_bytes=sizes), record.sentence(), choice.sentence, *notes]
    listing = "\n".join(told)
    _log(listing)
    state = replace(state, measurements=(*kept, *entries), chosen=choice.key, listing=listing)
    shown = choice.key or record.measured[-1]
    [entry] = [entry for entry in entries if entry["key"] == shown]
    return with_performance_statistics(state, entry, choice)
