"""One runner of one model that is profiled: what the measuring engine is told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.measure import TargetDescription
from turnkey.model.samples import SampleSet
from turnkey.navigator.model_files import file_of
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.runner_adapter import runtime_of
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.source import Source
from turnkey.navigator.status import ModelStatus
from turnkey.navigator.workspace import Workspace
from turnkey.runtimes import LoadRequest
from turnkey.runtimes.target import ModelTarget
from turnkey.verify import Tolerances, precision_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One runner of one model that is profiled.

    Attributes:
        model_key: of the model.
        kind: the runner.
        path: the model's file; None for a source in memory.
        sha256: of the file.
    """

    model_key: str
    kind: RunnerKind
    path: Path | None
    sha256: str = ""

    @classmethod
    def of(cls, model: ModelStatus, kind: RunnerKind, workspace: Workspace) -> Contestant:
        """A runner of a model of a package."""
        path = file_of(model, workspace)
        return cls(model_key=model.model_config.key, kind=kind, path=path, sha256=model.sha256)

    @property
    def key(self) -> str:
        """In records: ``onnx @ OnnxCPU``."""
        return f"{self.model_key} @ {self.kind.name}"

    def facts(self) -> dict[str, Any]:
        """What the record says about it beside its numbers."""
        return {
            "variant": self.model_key,
            "runtime": self.kind.runtime,
            "runner": self.kind.name,
            "device": self.kind.device.value,
            "options": dict(self.kind.options),
            "sha256": self.sha256,
        }

    def description(self, samples: Path, module: Mapping[str, Any] | None) -> TargetDescription:
        """How a fresh process makes the target."""
        arguments: dict[str, Any] = {
            "runtime": self.kind.runtime,
            "samples": str(samples),
            "device": self.kind.device.value,
            "options": dict(self.kind.options),
            "precision": precision_of(self.model_key),
        }
        if self.path is None:
            arguments["module"] = None if module is None else dict(module)
        else:
            arguments["path"] = str(self.path)
        factory = "turnkey.runtimes.target:load_target"
        if self.kind.place:
            factory, arguments["place"] = "turnkey.navigator.runner_adapter:load_registered", self.kind.place
        return TargetDescription(key=self.key, factory=factory, arguments=arguments, facts=self.facts())

    def request(self, source: Source, *, threads: int) -> LoadRequest:
        """What is loaded in this process: the file, else the live source."""
        return LoadRequest(
            module=source.model if self.path is None else None,
            structure=source.structure if self.path is None else None,
            path=self.path,
            device=self.kind.device.value,
            threads=threads,
            options=dict(self.kind.options),
        )

    def target(self, prepared: Prepared, samples: SampleSet, *, threads: int) -> ModelTarget:
        """The target in this process."""
        request = self.request(prepared.source, threads=threads)
        return ModelTarget(
            runtime_of(self.kind.runtime, place=self.kind.place),
            request=lambda: request,
            samples=lambda: samples,
            tolerances=Tolerances(precision=precision_of(self.model_key)),
        )
