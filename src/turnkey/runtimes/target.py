"""One (variant, runtime, device, threads) as the measuring engine sees it: something to load, call and check.

In a fresh process `load_target` makes it from plain JSON; in this process `ModelTarget` takes the live objects. It
has the methods of ``turnkey.measure.target.Target``, which stands on a higher floor.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.model.samples import Sample, SampleSet, read_samples
from turnkey.runtimes.lookup import find_runtime
from turnkey.runtimes.runtime import LoadRequest, Runner, Runtime
from turnkey.verify import Tolerances, VerificationVerdict, compare


class ModelTarget:
    """A target over a runtime, a request and the samples to feed."""

    run: Callable[[Any], Any]
    """The runner's own ``run`` once it is loaded: no frame of ours lies inside the timed call."""

    def __init__(
        self,
        runtime: Runtime,
        *,
        request: Callable[[], LoadRequest],
        samples: Callable[[], SampleSet],
        tolerances: Tolerances | None = None,
    ) -> None:
        self._runtime = runtime
        self._request = request
        self._read_samples = samples
        self._tolerances = tolerances
        self._runner: Runner | None = None
        self._samples: SampleSet | None = None
        self._verdicts: dict[int, VerificationVerdict] = {}

    def load(self) -> None:
        """Read the model and make it ready, without compiling where that is a step of its own."""
        self._runner = self._runtime.load(self._request())
        self.run = self._runner.run
        self.device_timer = getattr(self._runner, "device_timer", None)

    def compile(self) -> bool:
        """Compile for the first sample's shapes; False where that is no step of its own."""
        if not self._runtime.compiles:
            return False
        runner: Any = self._loaded  # a CompilingRunner, since the runtime says that it compiles
        runner.compile(runner.prepare(self._sample_set.inputs[0]))
        return True

    def samples(self) -> list[Sample]:
        """Inputs to rotate through."""
        return list(self._sample_set.inputs)

    def check(self, index: int, outputs: Sample) -> str | None:
        """Why the outputs of a sample are wrong; None if they agree, or if nothing is known to compare them with."""
        reference = self._sample_set.outputs[index]
        if reference is None:
            return None
        comparison = compare(reference, outputs, tolerances=self._tolerances)
        self._verdicts[index] = comparison.verdict
        return comparison.reason if comparison.verdict is VerificationVerdict.INVALID else None

    def prepare(self, sample: Sample) -> Any:
        """The runtime's own form of the inputs."""
        return self._loaded.prepare(sample)

    def outputs(self, result: Any) -> Sample:
        """Named arrays."""
        return self._loaded.outputs(result)

    def describe(self) -> Mapping[str, Any]:
        """The runner's facts and ``verification``: ``valid``, ``invalid``, ``unverified``, or ``not checked``."""
        return {**self._loaded.describe(), "verification": self._verification()}

    def close(self) -> None:
        """Let go of the runner."""
        if self._runner is not None:
            self._runner.close()
            self._runner = None

    def _verification(self) -> str:
        seen = set(self._verdicts.values())
        order = (VerificationVerdict.INVALID, VerificationVerdict.VALID, VerificationVerdict.UNVERIFIED)
        return next((str(verdict.value) for verdict in order if verdict in seen), "not checked")

    @property
    def _loaded(self) -> Runner:
        if self._runner is None:
            raise RuntimeError("the target is not loaded")
        return self._runner

    @property
    def _sample_set(self) -> SampleSet:
        if self._samples is None:
            self._samples = self._read_samples()
        return self._samples


def load_target(
    *,
    threads: int,
    runtime: str,
    samples: str,
    path: str | None = None,
    module: Mapping[str, Any] | None = None,
    device: str = "cpu",
    options: Mapping[str, Any] | None = None,
    precision: str | None = None,
) -> ModelTarget:
    """A target in a fresh process; the factory that ``measure`` is told.

    Args:
        threads: for every pool of the runtime.
        runtime: its name.
        samples: directory that `write_samples` wrote.
        path: the variant's file, for runtimes that execute files.
        module: what `Handover.module` says, for runtimes that execute the live module.
        precision: dtype in which the variant computes, where it is coarser than its outputs.
    """
    found = find_runtime(runtime)
    for name in (*found.requires, *getattr(found, "preloads", ())):  # here: imports are no part of loading
        importlib.import_module(name)

    def request() -> LoadRequest:
        plain = LoadRequest(
            path=None if path is None else Path(path), device=device, threads=threads, options=dict(options or {})
        )
        if module is None:
            return plain
        from turnkey.runtimes.handover import read_module

        live, structure = read_module(module)
        return replace(plain, module=live, structure=structure)

    return ModelTarget(
        found,
        request=request,
        samples=lambda: read_samples(Path(samples)),
        tolerances=Tolerances(precision=precision),
    )
