"""What of a build is measured: its newest variant, or the live model, brought back by running its script again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.errors import UsageError
from turnkey.measure import TargetDescription
from turnkey.model.samples import SampleSet, write_samples
from turnkey.pipeline.state import Variant
from turnkey.pipeline.stored_form import stored_as
from turnkey.pipeline.stored_source import source_of
from turnkey.report.gate.building import Built
from turnkey.runtimes import LoadRequest, default_runtime, find_runtime
from turnkey.runtimes.target import ModelTarget, load_target
from turnkey.verify import precision_of

_LIVE = "torch"
_SAMPLES = 8


def newest(built: Built) -> Variant | None:
    """The variant that the last converter left; None where the build has the live model only."""
    return built.state.variant() if built.state.variants else None


def runtime_of(built: Built, name: str | None) -> str:
    """The runtime asked for, else the first that executes the newest variant.

    Raises:
        UsageError: it does not execute what the build holds.
    """
    variant = newest(built)
    stored = _LIVE if variant is None else stored_as(variant)
    found = find_runtime(name or default_runtime(stored))
    if _LIVE not in found.executes and stored not in found.executes:
        raise UsageError(
            f"the runtime {found.name} does not execute what {built.checkout.title} has: {stored}",
            evidence=f"it executes: {', '.join(found.executes)}",
        )
    return found.name


def shared_inputs(base: Built, head: Built, directory: Path) -> Path:
    """Samples for both sides: the inputs of the base, so that both compute the same, without expected outputs.

    Raises:
        UsageError: the two models take different inputs.
    """
    first, second = source_of(base.state).samples, source_of(head.state).samples
    if _signature(first) != _signature(second):
        raise UsageError(
            "the two revisions take different inputs and cannot be compared",
            evidence=f"{base.checkout.title}: {_signature(first)}\n{head.checkout.title}: {_signature(second)}",
        )
    inputs = first.inputs[:_SAMPLES]
    nothing = tuple(None for _ in inputs)
    write_samples(SampleSet(structure=None, inputs=inputs, outputs=nothing, seed=first.seed), directory)
    return directory


def description(built: Built, *, key: str, runtime: str, device: str, samples: Path) -> TargetDescription:
    """How a fresh process makes the target of one side."""
    arguments: dict[str, Any] = {"runtime": runtime, "samples": str(samples), "device": device}
    variant = newest(built)
    facts: dict[str, Any] = {"runtime": runtime, "device": device, "revision": built.checkout.title}
    if _LIVE in find_runtime(runtime).executes:
        arguments |= {"state": str(built.paths.state), "directory": str(built.checkout.directory)}
        factory = "turnkey.report.gate.target:load_live"
    else:
        assert variant is not None, "runtime_of chose a runtime for what there is"
        arguments |= {"path": str(built.state.build_dir / variant.path), "precision": precision_of(variant.key)}
        facts |= {"variant": variant.key, "sha256": variant.sha256}
        factory = "turnkey.runtimes.target:load_target"
    return TargetDescription(
        key=key,
        factory=factory,
        arguments=arguments,
        interpreter=built.interpreter,
        environment=built.environment if factory.endswith("load_live") else {},
        facts=facts,
    )


def load_live(*, threads: int, runtime: str, samples: str, device: str, state: str, directory: str) -> ModelTarget:
    """Factory: the live model of a build, from its script, in a process that belongs to this revision alone."""
    from turnkey.model.samples import read_samples
    from turnkey.pipeline.revival import revived
    from turnkey.pipeline.state_file import load_state

    found = find_runtime(runtime)
    os.chdir(directory)  # as its script was run when it was built
    source = revived(load_state(state_path=Path(state))).model
    assert source is not None, "a revived state has its model"
    shared = read_samples(Path(samples))
    request = LoadRequest(device=device, threads=threads, module=source.module, structure=source.samples.structure)
    return ModelTarget(
        found,
        request=lambda: request,
        samples=lambda: replace(shared, structure=source.samples.structure),
    )


def load_side(*, threads: int, factory: str, arguments: Mapping[str, Any]) -> ModelTarget:
    """The target that a description names, in this process."""
    return (load_live if factory.endswith("load_live") else load_target)(threads=threads, **arguments)


def _signature(samples: SampleSet) -> str:
    return ", ".join(f"{name}: {array.dtype}{list(array.shape)}" for name, array in samples.inputs[0].items())
