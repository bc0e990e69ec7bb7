"""Registered runner classes among Turnkey's runtimes, so that the same engine checks and measures them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from turnkey.errors import UsageError
from turnkey.model.samples import Sample
from turnkey.navigator.runner import NavigatorRunner, as_array
from turnkey.navigator.runner_table import add_kind, kind_of
from turnkey.runtimes import LoadRequest, Runner, Runtime, find_runtime
from turnkey.runtimes.target import ModelTarget


def register_runner(cls: type[NavigatorRunner]) -> None:
    """Make a runner class known under its name, for `optimize(runners=…)` and by default.

    Raises:
        ValueError: the name is taken.
    """
    add_kind(kind_of(cls))
    _CLASSES[cls.name()] = cls


_CLASSES: dict[str, type[NavigatorRunner]] = {}


def registered_class(name: str, *, place: str) -> type[NavigatorRunner]:
    """A registered class, in this process or imported from its place.

    Raises:
        UsageError: it cannot be imported.
    """
    if name in _CLASSES:
        return _CLASSES[name]
    module, _, qualified = place.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in qualified.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError) as error:
        raise UsageError(
            f"the runner {name} cannot be imported in another process",
            evidence=f"{place}: {error}",
            remedy="define the class in a module that can be imported",
        ) from error
    loaded: type[NavigatorRunner] = found
    return loaded


def runtime_of(runtime: str, *, place: str = "") -> Runtime:
    """The runtime of a runner: Turnkey's of that name, or the registered class as one.

    Raises:
        UsageError: there is none.
        MissingDependencyError: it needs something that is not installed.
    """
    if not place:
        return find_runtime(runtime)
    return RegisteredRuntime(registered_class(runtime, place=place))


class RegisteredRuntime:
    """A runner class as a runtime."""

    aliases: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    install = ""
    compiles = False

    def __init__(self, cls: type[NavigatorRunner]) -> None:
        self._cls = cls
        self.name = cls.name()
        self.executes: tuple[str, ...] = (cls.format().value,)
        self.devices: tuple[str, ...] = tuple(device.value for device in cls.devices_kind())

    def load(self, request: LoadRequest) -> Runner:
        """An activated runner."""
        runner = self._cls(request.module if request.path is None else request.path)
        runner.activate()
        return _Active(runner)


class _Active:
    """An activated runner of a class. What is timed is its own ``infer_impl``."""

    def __init__(self, runner: NavigatorRunner) -> None:
        self.navigator_runner = runner
        self.run = runner.infer_impl

    def prepare(self, sample: Sample) -> Any:
        return dict(sample)

    def outputs(self, result: Mapping[str, Any]) -> Sample:
        return {name: as_array(value) for name, value in result.items()}

    def describe(self) -> Mapping[str, Any]:
        kind = type(self.navigator_runner)
        return {
            "runtime_version": getattr(kind, "version", ""),
            "device": kind.devices_kind()[0].value,
            "placement": {},
            "fallback": None,
            "notes": [],
        }

    def close(self) -> None:
        self.navigator_runner.deactivate()


def load_registered(*, threads: int, runtime: str, place: str, **arguments: Any) -> ModelTarget:
    """A target over a registered class in a fresh process: a factory for the measuring engine.

    Args:
        threads: for the runner.
        place: ``module:class``.
        arguments: those of `turnkey.runtimes.target.load_target`.
    """
    from pathlib import Path

    from turnkey.model.samples import read_samples
    from turnkey.verify import Tolerances

    path, module = arguments.get("path"), arguments.get("module")

    def request() -> LoadRequest:
        live = structure = None
        if module is not None:
            from turnkey.runtimes.handover import read_module

            live, structure = read_module(module)
        return LoadRequest(
            module=live, structure=structure, path=None if path is None else Path(path), threads=threads
        )

    return ModelTarget(
        runtime_of(runtime, place=place),
        request=request,
        samples=lambda: read_samples(Path(arguments["samples"])),
        tolerances=Tolerances(precision=arguments.get("precision")),
    )
