"""Candidates of a benchmark: which (variant, runtime) pairs are measured, and how a process gets hold of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnkey.errors import UsageError
from turnkey.measure import TargetDescription
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.runtimes import RUNTIMES, LoadRequest, Runtime, default_runtime, find_runtime
from turnkey.runtimes.handover import Handover
from turnkey.runtimes.target import ModelTarget
from turnkey.verify import Tolerances, precision_of

LIVE = ("torch", "python")
"""The formats of live models: a module, and any other callable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One pair that may win.

    Attributes:
        key: ``torch``, ``onnx-opt @ onnxruntime``, ``torch (2 threads)`` where thread counts are compared.
        runtime: what executes it.
        variant: the stored form; None for the live module.
        path: the variant's file.
        device: ``cpu``, ``cuda``.
        options: for the runtime.
        threads: where thread counts are compared; None is the experiment's.
    """

    key: str
    runtime: Runtime
    variant: Variant | None
    path: Path | None
    device: str
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None

    @property
    def precision(self) -> str | None:
        """The dtype in which the variant computes, where its name tells."""
        if self.variant is None:
            return precision_of(f"{self.runtime.name}-{self.options.get('autocast', '')}")
        return precision_of(self.variant.key)

    def facts(self) -> dict[str, Any]:
        """What the record says about it beside its numbers."""
        facts: dict[str, Any] = {"runtime": self.runtime.name, "device": self.device, "options": dict(self.options)}
        if self.variant is not None:
            variant = self.variant
            facts |= {"variant": variant.key, "lineage": list(variant.lineage), "sha256": variant.sha256}
        return facts

    def description(self, handover: Handover) -> TargetDescription:
        """How a fresh process makes the target."""
        arguments: dict[str, Any] = {
            "runtime": self.runtime.name,
            "samples": str(handover.samples),
            "device": self.device,
            "options": dict(self.options),
            "precision": self.precision,
        }
        if self.variant is None:
            arguments["module"] = None if handover.module is None else dict(handover.module)
        else:
            arguments["path"] = str(self.path)
        return TargetDescription(
            key=self.key,
            factory="turnkey.runtimes.target:load_target",
            arguments=arguments,
            threads=self.threads,
            facts=self.facts(),
        )

    def request(self, source: SourceModel, *, threads: int) -> LoadRequest:
        """What its runtime is told in this process."""
        live = self.variant is None
        return LoadRequest(
            module=source.module if live else None,
            structure=source.samples.structure if live else None,
            path=self.path,
            device=self.device,
            threads=threads,
            options=self.options,
        )

    def target(self, source: SourceModel, samples: SampleSet, *, threads: int) -> ModelTarget:
        """The target in this process, for a model that cannot leave it."""
        request = self.request(source, threads=threads)
        return ModelTarget(
            self.runtime,
            request=lambda: request,
            samples=lambda: samples,
            tolerances=Tolerances(precision=self.precision),
        )


def candidates_of(
    state: State,
    source: SourceModel,
    *,
    runtimes: Sequence[str] = (),
    variants: Sequence[str] = (),
    device: str = "cpu",
    options: Mapping[str, Any],
) -> list[Candidate]:
    """The candidates that the user asked for, each once, in that order.

    Args:
        runtimes: names or aliases; none means the first runtime of the newest variant, else of the live module.
        variants: keys; none means for each runtime the newest variant that it executes.
        options: ``--rt-args``; ``<runtime>.<option>`` is for that runtime only, others are for all.

    Raises:
        UsageError: an unknown runtime, variant or device, or nothing that a runtime could execute. Of several
            runtimes those that execute live modules only are left out, and said, where the source is a file.
        MissingDependencyError: a runtime is not installed.
    """
    wanted = _wanted(state, variants)
    names = runtimes or [default_runtime(stored_as(wanted[0]) if wanted else source.live_format or LIVE[0])]
    found: dict[str, Candidate] = {}
    for name in names:
        runtime = find_runtime(name)
        if device.partition(":")[0] not in runtime.devices:
            raise UsageError(
                f"the runtime {runtime.name} has no device {device!r}",
                evidence=f"it has: {', '.join(runtime.devices)}",
                remedy=f"--device {runtime.devices[0]}; turnkey system-info lists what there is",
            )
        if len(names) > 1 and source.module is None and set(runtime.executes) <= set(LIVE):
            # One call may mix scripts and files: what only a script can give is left out for the files.
            print(f"{runtime.name} is not measured: it executes live PyTorch models, and this is a file", flush=True)
            continue
        mine = _options_for(runtime, options)
        for variant in _executed(runtime, wanted, is_chosen=bool(variants), live=source.live_format):
            key = runtime.name if variant is None else f"{variant.key} @ {runtime.name}"
            path = None if variant is None else state.build_dir / variant.path
            found[key] = Candidate(key=key, runtime=runtime, variant=variant, path=path, device=device, options=mine)
    if not found:
        raise UsageError(
            f"none of the runtimes {', '.join(names)} executes a file",
            remedy="benchmark --runtime onnxruntime",
        )
    return list(found.values())


def at_thread_counts(candidates: Sequence[Candidate], counts: Sequence[int]) -> list[Candidate]:
    """Each candidate once for every count, where there are several counts to compare."""
    if len(counts) < 2:
        return list(candidates)
    return [
        replace(candidate, key=f"{candidate.key} ({count} thread{'s' if count > 1 else ''})", threads=count)
        for candidate in candidates
        for count in counts
    ]


def reference_of(candidates: Sequence[Candidate], *, fair_threads: int) -> str | None:
    """What the others are compared with: torch, else the first; of several thread counts the fair one.

    One candidate alone is compared with nothing.
    """
    if len(candidates) == 1:
        return None
    torch = [candidate for candidate in candidates if candidate.runtime.name in LIVE]
    of_one = [candidate for candidate in torch or candidates if candidate.threads in (None, fair_threads)]
    return (of_one or torch or candidates)[0].key


def _wanted(state: State, keys: Sequence[str]) -> list[Variant]:
    """The variants named, else all, the newest first."""
    if not keys:
        newest = [variant for variant in state.variants if variant.key == state.results]
        return newest + [variant for variant in reversed(state.variants) if variant.key != state.results]
    known = {variant.key: variant for variant in state.variants}
    unknown = [key for key in keys if key not in known]
    if unknown:
        raise UsageError(
            f"the build {state.build_name} has no variant {', '.join(map(repr, unknown))}",
            evidence=f"it has: {', '.join(known) or 'none'}",
            remedy="name one of these, or make it: turnkey ... convert --to FORMAT",
        )
    return [known[key] for key in keys]


def _executed(
    runtime: Runtime, wanted: Sequence[Variant], *, is_chosen: bool, live: str | None
) -> list[Variant | None]:
    """What a runtime executes of these: None is the live module, the baseline also where variants were chosen."""
    fitting = [variant for variant in wanted if stored_as(variant) in runtime.executes]
    if is_chosen and fitting:
        return list(fitting)
    if live in runtime.executes:
        if is_chosen:
            named = ", ".join(variant.key for variant in wanted)
            print(f"{runtime.name} measures the live model: it executes no file such as {named}", flush=True)
        return [None]
    if set(runtime.executes) <= set(LIVE):
        kind = "PyTorch model" if LIVE[0] in runtime.executes else "function"
        raise UsageError(
            f"the runtime {runtime.name} executes the live {kind}, and this input has none",
            remedy="start with the script: turnkey -i SCRIPT.py discover benchmark",
        )
    if not fitting:
        raise UsageError(
            f"there is nothing that the runtime {runtime.name} executes: it takes {', '.join(runtime.executes)}",
            evidence=f"variants: {', '.join(variant.key for variant in wanted) or 'none'}",
            remedy=f"turnkey -i SCRIPT.py discover export-pytorch verify benchmark --runtime {runtime.name}",
        )
    return [fitting[0]]


def _options_for(runtime: Runtime, options: Mapping[str, Any]) -> dict[str, Any]:
    mine = {}
    for key, value in options.items():
        owner, dot, rest = key.partition(".")
        if dot and owner in RUNTIMES.names():
            if owner == runtime.name:
                mine[rest] = value
        else:
            mine[key] = value
    return mine
