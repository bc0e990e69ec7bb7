"""Load shapes over the candidates of a benchmark, one candidate after another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from turnkey.errors import MeasurementInvalid, ModelError, TurnkeyError, UsageError
from turnkey.measure import LoadResult, Settings, Shape, run_load
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.quantity import positive_count
from turnkey.runtimes.handover import HandoverImpossible, handed_over
from turnkey.tools.experiment import record_path, tell_round
from turnkey.tools.load_listing import load_entry, load_table

if TYPE_CHECKING:
    from turnkey.model.samples import SampleSet
    from turnkey.model.source import SourceModel
    from turnkey.pipeline.state import State
    from turnkey.tools.candidates import Candidate

_BOUNDS = {"p99_bound_ms": 0.99, "p95_bound_ms": 0.95, "p90_bound_ms": 0.90}


def shape_of(arguments: Mapping[str, Any]) -> Shape:
    """The load shape that the arguments of the benchmark ask for.

    Raises:
        UsageError: a server without one bound, or a bound without a server.
    """
    kind = str(arguments["load"])
    bounds = [(float(value), share) for name, share in _BOUNDS.items() if (value := arguments.get(name)) is not None]
    if kind == "server" and len(bounds) != 1:
        raise UsageError(
            "--load server needs one latency bound", remedy="--load server --p99-bound-ms 50   # or p95, p90"
        )
    if kind != "server" and bounds:
        raise UsageError(f"--load {kind} keeps no latency bound", remedy="--load server, or leave the bound out")
    fields: dict[str, Any] = {"kind": kind}
    if bounds:
        fields |= {"bound_ms": bounds[0][0], "quantile": bounds[0][1]}
    if arguments.get("clients"):
        fields["clients"] = client_counts(str(arguments["clients"]))
    if arguments.get("load_seconds"):
        fields["seconds"] = float(arguments["load_seconds"])
    return Shape(**fields)


def loaded(
    state: State,
    source: SourceModel,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    *,
    shape: Shape,
    settings: Settings,
) -> State:
    """The state with what each candidate bears.

    Raises:
        ModelError: the live model cannot leave this process.
        TurnkeyError: no candidate could be loaded; the error of the first.
        MeasurementInvalid: ``settings.strict`` and some reason of validity holds; after everything was kept.
    """
    from turnkey.verify import batch_size

    batch = batch_size(samples.inputs[0])
    results, errors = _results(state, source, samples, candidates, shape, settings)
    if not results:
        raise next(iter(errors.values()))
    entries = {entry["key"]: dict(entry) for entry in state.measurements}
    for candidate in candidates:
        found = results.get(candidate.key)
        if found is not None:
            fields = {"load": load_entry(found[0], batch=batch), "load_record": found[1]}
            own = entries.setdefault(candidate.key, {"key": candidate.key, "runtime": candidate.runtime.name})
            own |= fields
    told = [load_table([result for result, _ in results.values()], batch=batch)]
    told += [result.sentence() for result, _ in results.values()]
    told += [f"{key} failed: {error.what}" for key, error in errors.items()]
    reasons = [reason for result, _ in results.values() for reason in result.reasons]
    told += [reason.line for reason in reasons]
    state = replace(state, measurements=tuple(entries.values()), listing="\n".join(told))
    if settings.strict and reasons:
        error = MeasurementInvalid(
            "this load measurement must not be used as it is", evidence="\n".join(map(str, reasons))
        )
        error.state = state
        raise error
    return state


def _results(
    state: State,
    source: SourceModel,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    shape: Shape,
    settings: Settings,
) -> tuple[dict[str, tuple[LoadResult, str]], dict[str, TurnkeyError]]:
    """Result and record of each candidate, and the errors of those that could not be loaded."""
    results: dict[str, tuple[LoadResult, str]] = {}
    errors: dict[str, TurnkeyError] = {}
    paths = BuildPaths(state.cache_dir, state.build_name)
    plan = {"shape": asdict(shape), "settings": settings.to_json()}
    live = any(candidate.variant is None for candidate in candidates)
    try:
        with handed_over(source, samples, with_module=live) as handover:
            for candidate in candidates:
                tell_round(f"{candidate.key}: load shape {shape.kind}")
                path = record_path(state, [candidate], plan)
                try:
                    lenient = replace(settings, strict=False)
                    found = run_load(
                        candidate.description(handover),
                        shape,
                        settings=lenient,
                        path=path,
                        listen=partial(_tell_of, candidate.key),
                    )
                except TurnkeyError as error:
                    errors[candidate.key] = error
                else:
                    results[candidate.key] = found, paths.relative(path)
    except HandoverImpossible as impossible:
        raise ModelError(
            "a load shape needs fresh processes, and this model cannot leave its own",
            evidence=str(impossible),
            remedy="export it and load the file: export-pytorch benchmark --load ... --runtime onnxruntime",
        ) from impossible
    return results, errors


def _tell_of(key: str, text: str) -> None:
    tell_round(f"{key}: {text}")


def client_counts(text: str) -> tuple[int, ...]:
    """``1,2,4``: one level of a closed loop after another."""
    return tuple(sorted({positive_count(part) for part in text.split(",")}))
