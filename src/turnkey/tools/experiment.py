"""One experiment over all candidates of a benchmark: in fresh processes, or here where the model cannot leave."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.errors import MissingDependencyError, UsageError
from turnkey.host import fair_threads
from turnkey.measure import Record, Settings, gpu, run_experiment, run_in_process
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import tell_progress
from turnkey.pipeline.state import State
from turnkey.runtimes.handover import UNREADABLE, HandoverImpossible, handed_over
from turnkey.tools.candidates import Candidate, reference_of

_ROTATED_SAMPLES = 8


def rotated(samples: SampleSet) -> SampleSet:
    """The samples that are measured with, in turn; more would only take memory in every process."""
    return replace(samples, inputs=samples.inputs[:_ROTATED_SAMPLES], outputs=samples.outputs[:_ROTATED_SAMPLES])


def compared(
    state: State,
    source: SourceModel,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    settings: Settings,
    *,
    listen: Callable[[str], None] | None = None,
) -> tuple[Record, list[str]]:
    """The record of one experiment over all candidates, and what must be said about it.

    Args:
        listen: is told where the measurement is, in place of log and monitor.

    Raises:
        UsageError: thread counts, or other statistics than medians, are compared, and the live model cannot leave
            this process.
    """
    listen = listen or tell_round
    live = [candidate.key for candidate in candidates if candidate.variant is None]
    try:
        with handed_over(source, samples, with_module=bool(live)) as handover:
            record = run_experiment(
                [candidate.description(handover) for candidate in candidates],
                reference=reference_of(candidates, fair_threads=fair_threads()),
                settings=settings,
                path=record_path(state, candidates, settings.to_json()),
                listen=listen,
            )
        errors = [record.summary(key).error or {} for key in live]
        reason = next((str(error["evidence"]) for error in errors if error.get("what") == UNREADABLE), "")
        if not reason:
            return record, []
    except HandoverImpossible as impossible:
        reason = str(impossible)
    if settings.compare_threads:
        raise UsageError(
            "thread counts can be compared in fresh processes only, and this model cannot leave its own",
            evidence=reason,
            remedy="give one count: --threads N",
        )
    if settings.objective != "median":
        raise UsageError(
            f"the {settings.objective} can be compared in fresh processes only, and this model cannot leave its own",
            evidence=reason,
            remedy="objective median",
        )
    note = f"measured in this process, without fresh ones: the model cannot leave it ({reason})"
    listen(note)
    path = record_path(state, candidates, settings.to_json())
    return measured_here(source, samples, candidates, settings, path=path, listen=listen), [note]


@contextmanager
def gpu_clocks(device: str, *, lock: bool, cache_dir: Path) -> Iterator[None]:
    """The clocks of a GPU locked while it is measured, if asked for; those that a crash left locked are given back.

    Raises:
        UsageError: there is no GPU among the candidates, or its driver refuses.
        MissingDependencyError: locking is asked for and NVML is not there.
    """
    if not device.startswith("cuda"):
        if lock:
            raise UsageError("--lock-clocks is for a GPU", evidence=f"--device {device}", remedy="--device cuda")
        yield
        return
    try:
        library = gpu.nvml()
    except MissingDependencyError:
        if lock:
            raise
        yield
        return
    stamp = cache_dir / "gpu_clocks.json"
    if gpu.restore_clocks(library, stamp=stamp):
        tell("the clocks that an earlier run left locked were given back")
    with gpu.locked_clocks(library, gpu.nvml_index(library, device), stamp=stamp) if lock else nullcontext():
        yield


def record_path(state: State, candidates: Sequence[Candidate], plan: Mapping[str, Any]) -> Path:
    """``runs/<UTC time>-<digest of the plan>.zip``; an unfinished record of the same plan is taken up again.

    Args:
        plan: what is going to be done with them.
    """
    asked = [[c.key, c.facts()] for c in candidates], plan
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:6]
    directory = BuildPaths(state.cache_dir, state.build_name).records
    directory.mkdir(parents=True, exist_ok=True)
    unfinished = sorted(directory.glob(f"*-{digest}.growing"))
    if unfinished:
        return unfinished[-1].with_suffix(".zip")
    return directory / f"{datetime.now(UTC).strftime('%Y%m%dT%H%M%S%fZ')}-{digest}.zip"


def tell_round(text: str) -> None:
    """To the log, and to who watches the call: where a measurement is."""
    tell(text)
    tell_progress(text)


def tell(text: str) -> None:
    """To the log at once: whoever watches wants to see where a long measurement is."""
    print(text, flush=True)


def measured_here(
    source: SourceModel,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    settings: Settings,
    *,
    path: Path | None = None,
    listen: Callable[[str], None] | None = None,
) -> Record:
    """The record of candidates that are measured in this process, with what that says of replication.

    Args:
        path: where the record grows; None keeps it in memory.
        listen: is told where the measurement is.
    """
    from turnkey.runtimes.torch_eager import left_as_it_was

    threads = settings.threads or fair_threads()
    targets = {candidate.key: candidate.target(source, samples, threads=threads) for candidate in candidates}
    with left_as_it_was(source.module):  # a runner that fails while it loads gives nothing back
        return run_in_process(
            targets,
            reference=reference_of(candidates, fair_threads=threads),
            settings=settings,
            path=path,
            listen=listen,
            facts={candidate.key: candidate.facts() for candidate in candidates},
        )
