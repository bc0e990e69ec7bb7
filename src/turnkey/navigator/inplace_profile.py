"""``nav.profile``: a function with its wrapped modules eager, and with each of their runtimes in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from turnkey.measure import Settings, Windows, run_in_process
from turnkey.measure.target import Arrays
from turnkey.measure.windows import timed_calls
from turnkey.navigator.format import DeviceKind
from turnkey.navigator.rung import pooled_numbers
from turnkey.navigator.runner import NavigatorRunner
from turnkey.navigator.wrapped_module import Module, registered


@dataclass(slots=True)
class _FunctionTarget:
    """One way of running the function, as the measuring engine sees it."""

    function: Callable[[Any], Any]
    given: Sequence[Any]
    choose: Callable[[], None]

    def load(self) -> None:
        self.choose()

    def compile(self) -> bool:
        return False

    def samples(self) -> list[Arrays]:
        return [{"index": np.asarray(index)} for index in range(len(self.given))]

    def check(self, index: int, outputs: Arrays) -> str | None:
        return None

    def prepare(self, sample: Arrays) -> Any:
        return self.given[int(sample["index"])]

    def run(self, prepared: Any) -> Any:
        return self.function(prepared)

    def outputs(self, result: Any) -> Arrays:
        return {}

    def describe(self) -> Mapping[str, Any]:
        return {"runtime_version": "", "device": "cpu", "placement": {}, "fallback": None, "notes": []}

    def close(self) -> None:
        return None


def profile(
    func: Callable[[Any], Any],
    dataloader: Iterable[tuple[int, Any]],
    target_formats: Sequence[Any] | None = None,
    runners: Sequence[str] | None = None,
    window_size: int = 25,
    stability_percentage: float = 10.0,
    max_trials: int = 10,
    device: DeviceKind | str | None = None,
    initialize: bool = True,
    verbose: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Time a function eager and with every optimised runtime of its wrapped modules.

    Args:
        dataloader: (batch size, sample); each is profiled.
        target_formats, runners: None takes all that were found right.
        device: on which runtimes run; None is each one's own.
        initialize: call the function once before anything is timed, so that what it sets up is in no figure.

    Returns:
        ``eager`` and ``model key @ runner`` to one documented result per sample. Under such a name every module that
        has this runtime runs on it, and the others are eager.
    """
    formats = None if target_formats is None else {getattr(each, "value", each) for each in target_formats}
    ways = _ways(registered(), formats, runners, device=device)
    rule = Windows(
        measurement_request_count=window_size, stability_percentage=stability_percentage, max_trials=max_trials
    )
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ways}
    try:
        for number, (batch, sample) in enumerate(dataloader):
            if initialize and number == 0:
                func(sample)
            for name, choose in ways.items():
                # One after another: a module can be only one thing at a time.
                target = _FunctionTarget(func, [sample], choose)
                record = run_in_process({name: target}, settings=Settings(effort="quick", windows=rule))
                if name not in record.measured:
                    continue
                found[name].append(
                    {"batch_size": batch, **pooled_numbers(timed_calls(record.timed[name]), batch=batch)}
                )
                if verbose:
                    print(f"{name}: {found[name][-1]['p50_latency']:.4g} ms", flush=True)
    finally:
        for each in registered().values():
            each.run_eager()
            if each.packages():
                each.load()
    return found


def _ways(
    modules: Mapping[str, Module],
    formats: set[Any] | None,
    runners: Sequence[str] | None,
    *,
    device: DeviceKind | str | None = None,
) -> dict[str, Callable[[], None]]:
    """What to time, by name: how to bring all modules into that form."""

    def eager() -> None:
        for each in modules.values():
            each.run_eager()

    serving: dict[str, list[Callable[[], None]]] = {}
    for each in modules.values():
        for key, package in each.packages().items():
            package.load_source_model(each.wrapped)
            for entry in package.candidates(include_source=False).entries:
                config = entry.model.model_config
                if formats is not None and config.format.value not in formats:
                    continue
                if runners is not None and entry.runner.runner_name not in runners:
                    continue
                runner = package.runner_of(config.key, entry.runner.runner_name, device=device)
                serving.setdefault(entry.key, []).append(_serving(each, key, runner))
    return {"eager": eager, **{name: _after(eager, steps) for name, steps in serving.items()}}


def _serving(module: Module, key: str, runner: NavigatorRunner) -> Callable[[], None]:
    def serve() -> None:
        structure = module.structure_at(key)
        runner.activate()
        structure.runner = runner

    return serve


def _after(eager: Callable[[], None], steps: Sequence[Callable[[], None]]) -> Callable[[], None]:
    """Eager first: what another way left in its place would be timed under this one's name."""

    def choose() -> None:
        eager()
        for step in steps:
            step()

    return choose
