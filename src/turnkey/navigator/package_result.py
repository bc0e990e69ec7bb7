"""What `optimize` returns: models, how each runner did, the best of them ready to run, and what can be shipped."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from turnkey.host import fair_threads
from turnkey.model.call import CallStructure
from turnkey.navigator.exceptions import MissingSourceModelError, NotFoundError, RuntimeAnalyzerError
from turnkey.navigator.format import DeviceKind, Format, member
from turnkey.navigator.runner import NavigatorRunner, RuntimeRunner, TensorType
from turnkey.navigator.runner_adapter import registered_class, runtime_of
from turnkey.navigator.runner_table import cuda_usable, runner_kinds
from turnkey.navigator.status import CORRECTNESS, PERFORMANCE, CommandStatus, ModelStatus, Status
from turnkey.navigator.status_file import write_status
from turnkey.navigator.strategy import (
    Candidates,
    RuntimeResult,
    Strategy,
    best_runtime,
    candidates_of,
    strategies_of,
)
from turnkey.navigator.workspace import Workspace
from turnkey.runtimes import LoadRequest


class Package:
    """The result of one run, in its workspace.

    Attributes:
        status: everything that is known, as ``status.yaml`` holds it.
        workspace: directory with the files.
        model: the source model; None after loading, until `load_source_model`.
    """

    def __init__(self, status: Status, workspace: Path, model: Any = None) -> None:
        self.status = status
        self.workspace = workspace
        self.model = model

    def __repr__(self) -> str:
        return f"Package({str(self.workspace)!r}, models: {', '.join(self.status.models)})"

    @property
    def framework(self) -> str:
        """``torch``, ``onnx`` or ``none``."""
        return str(self.status.config.get("framework", "none"))

    @property
    def config(self) -> dict[str, Any]:
        """The call's configuration; a copy."""
        return copy.deepcopy(dict(self.status.config))

    @property
    def structure(self) -> CallStructure | None:
        """How named arrays become a call of the source model."""
        stored = self.status.own.get("structure")
        return None if stored is None else CallStructure.from_dict(stored)

    def load_source_model(self, model: Any) -> None:
        """Attach the source model to a package that was loaded."""
        self.model = model

    def is_empty(self) -> bool:
        """Whether no model but the source is right and profiled (or not refused by profiling)."""
        return not any(
            runner.ended(CORRECTNESS) is CommandStatus.OK and runner.ended(PERFORMANCE) is not CommandStatus.FAIL
            for model in self.status.models.values()
            if not model.model_config.format.is_source
            for runner in model.runners_status.values()
        )

    def save_status_file(self) -> None:
        """Write ``status.yaml``. Raises InputError if it cannot be written."""
        write_status(self.status, Workspace(self.workspace).status)

    def get_model_path(self, model_key: str) -> Path:
        """The file of a model.

        Raises:
            NotFoundError: there is no such model, it has no file, or the file is gone.
        """
        model = self._model(model_key)
        path = self.workspace / model.model_config.path
        if model.model_config.format.is_source or not path.exists():
            made = [key for key, each in self.status.models.items() if each.files]
            raise NotFoundError(
                f"the model {model_key!r} has no file", evidence=f"{path}; models with files: {', '.join(made)}"
            )
        return path

    def candidates(self, *, include_source: bool = True) -> Candidates:
        """What may be chosen, and why the rest may not."""
        return candidates_of(self.status, include_source=include_source)

    def get_best_runtime(
        self,
        strategy: Strategy | None = None,
        include_source: bool = True,
        strategies: Iterable[Strategy] | None = None,
    ) -> RuntimeResult:
        """The best runtime by the first strategy that finds one.

        Raises:
            RuntimeAnalyzerError: none matches; the evidence lists every candidate with the reason against it.
            ConfigurationError: both ``strategy`` and ``strategies``.
        """
        return best_runtime(self.candidates(include_source=include_source), strategies_of(strategy, strategies))

    def get_best_model_status(
        self,
        strategy: Strategy | None = None,
        include_source: bool = True,
        strategies: Iterable[Strategy] | None = None,
    ) -> ModelStatus:
        """The model of `get_best_runtime`; errors as there."""
        return self.get_best_runtime(strategy, include_source, strategies).model_status

    def get_runner(
        self,
        strategy: Strategy | None = None,
        include_source: bool = True,
        strategies: Iterable[Strategy] | None = None,
        device: DeviceKind | str | None = None,
        return_type: TensorType = TensorType.NUMPY,
    ) -> NavigatorRunner:
        """A runner of the best runtime, to be used as a context manager: ``with runner: runner.infer(feed_dict)``.

        Args:
            device: None is the runner's own; where that is not usable here, the processor.

        Raises:
            RuntimeAnalyzerError: no runtime matches.
            MissingSourceModelError: the source model won, and it is not attached.
            NotFoundError: the winner's file is gone.
        """
        best = self.get_best_runtime(strategy, include_source, strategies)
        return self.runner_of(best.model_key, best.runner_name, device=device, return_type=return_type)

    def runner_of(
        self,
        model_key: str,
        runner_name: str,
        *,
        device: DeviceKind | str | None = None,
        return_type: TensorType = TensorType.NUMPY,
    ) -> NavigatorRunner:
        """A runner by the names of a model and a runner; errors as `get_runner`.

        It has as many threads as it was measured with, as far as this process may use so many.
        """
        model = self._model(model_key)
        kinds = runner_kinds()
        if runner_name not in kinds:
            raise NotFoundError(f"there is no runner {runner_name!r} here", evidence=f"known: {', '.join(kinds)}")
        kind = kinds[runner_name]
        wanted = kind.device if device is None else member(DeviceKind, device, what="device")
        if device is None and wanted is DeviceKind.CUDA and not cuda_usable():
            wanted = DeviceKind.CPU
        path: Path | None = None
        if model.model_config.format.is_source:
            if self.model is None:
                raise MissingSourceModelError(
                    f"{model_key} @ {runner_name} runs the source model, which is not attached",
                    remedy="package.load_source_model(model)   # or: get_runner(include_source=False)",
                )
        else:
            path = self.get_model_path(model_key)
        runner = model.runners_status.get(runner_name)
        measured = None if runner is None else runner.threads
        inputs, outputs = self.status.input_metadata, self.status.output_metadata
        if kind.place:
            cls = registered_class(kind.name, place=kind.place)
            return cls(self.model if path is None else path, inputs, outputs, return_type)
        return RuntimeRunner(
            title=kind.name,
            kind=kind.format,
            device=wanted,
            runtime=runtime_of(kind.runtime),
            request=LoadRequest(
                module=self.model if path is None else None,
                structure=self.structure if path is None else None,
                path=path,
                device=wanted.value,
                threads=min(measured or fair_threads(), fair_threads()),
                options=dict(kind.options) if wanted is kind.device else {},
            ),
            input_metadata=inputs,
            output_metadata=outputs,
            return_type=return_type,
        )

    def summary(self) -> str:
        """One line per candidate and exclusion, the fastest first: what ``turnkey package show`` prints.

        The one that `get_runner` takes where no strategy is named bears the word ``best``.
        """
        found = self.candidates()
        chosen = self._default_choice(found)
        lines = []
        for each in sorted(found.entries, key=lambda entry: min(rung.p50_latency for rung in entry.rungs)):
            fastest = min(each.rungs, key=lambda rung: rung.p50_latency)
            best = max(each.rungs, key=lambda rung: rung.throughput)
            latency = fastest.ci_center or fastest.p50_latency
            interval = ""
            if fastest.ci_low is not None and fastest.ci_high is not None:
                interval = f" [{fastest.ci_low:.3g}, {fastest.ci_high:.3g}]"
            lines.append(
                f"{each.key}: {latency:.4g} ms{interval} at batch {fastest.batch_size}, "
                f"{best.throughput:.4g}/s at batch {best.batch_size}{'  best' if each.key == chosen else ''}"
            )
            lines.extend(f"  {note}" for note in each.runner.notes)
            lines.extend(f"  {fastest.validity}: {reason}" for reason in fastest.reasons)
        lines.extend(f"{key}: excluded: {reason}" for key, reason in found.excluded.items())
        return "\n".join(lines)

    def _default_choice(self, found: Candidates) -> str:
        """Key of the best one where no strategy is named; empty where none can be chosen."""
        try:
            best = best_runtime(found, strategies_of(None, None))
        except RuntimeAnalyzerError:  # `excluded` says why, candidate by candidate
            return ""
        return f"{best.model_key} @ {best.runner_name}"

    def _model(self, key: str) -> ModelStatus:
        if key not in self.status.models:
            raise NotFoundError(
                f"the package has no model {key!r}", evidence=f"it has: {', '.join(self.status.models)}"
            )
        return self.status.models[key]


def source_format_of(package: Package) -> Format | None:
    """The format of the model that the package began with; None for a package without any."""
    return next((each.model_config.format for each in package.status.models.values()), None)
