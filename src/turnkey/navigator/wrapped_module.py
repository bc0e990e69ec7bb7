"""`Module` stands in a module's place: it records calls, then serves the winner of each structure of them."""

from __future__ import annotations

import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from turnkey.navigator import dispatch
from turnkey.navigator.call_settings import check_call
from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning, NotFoundError
from turnkey.navigator.format import DeviceKind, Format, TensorRTPrecision, member
from turnkey.navigator.format_configs import TensorRTConfig, TorchTensorRTConfig
from turnkey.navigator.inplace_settings import OptimizeConfig, inplace_config
from turnkey.navigator.model_config import targets_of
from turnkey.navigator.package_archive import load_from_workspace
from turnkey.navigator.package_result import Package
from turnkey.navigator.recorded_calls import RecordedCalls, stored_workspaces, structure_key

_REGISTERED: dict[str, Module] = {}
_said_batch: int | None = None


class Module(torch.nn.Module):  # type: ignore[misc]  # torch is not typed here
    """A module in the place of another.

    Args:
        module: what is called; its attributes are reached through this object.
        name: unique in this process; by default made from the class's name.
        input_mapping: from arguments to what the module takes: ``(*args, **kwargs) -> (args, kwargs)``.
        output_mapping: applied to every result.
        timer: told the module's name and the seconds of every call.
        forward_func: name of the method to call instead of the module itself.
        batching: whether axis 0 is a batch axis; None asks `OptimizeConfig`, then whether a batch size was said.
        precision: in which engines of TensorRT are built, unless `OptimizeConfig` has custom configs for them.
        model_path: directory of its optimised forms instead of the one in the cache.

    Raises:
        ConfigurationError: no module; the name is taken or cannot be a directory; no such method, timer or precision.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        name: str | None = None,
        input_mapping: Callable[..., Any] | None = None,
        output_mapping: Callable[[Any], Any] | None = None,
        timer: Callable[[str, float], None] | None = None,
        forward_func: str | None = None,
        batching: bool | None = None,
        precision: str = "fp32",
        model_path: str | Path | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(module, torch.nn.Module):
            raise ConfigurationError("what is wrapped is a torch.nn.Module", evidence=repr(module)[:200])
        if forward_func is not None and not callable(getattr(module, forward_func, None)):
            raise ConfigurationError(f"the module has no method {forward_func!r}", evidence=type(module).__name__)
        if timer is not None and not callable(timer):
            raise ConfigurationError("a timer is a function of a name and seconds", evidence=repr(timer))
        member(TensorRTPrecision, precision, what="precision")
        self._modules["wrapped"] = module
        self.training = module.training
        object.__setattr__(self, "state", "recording")
        object.__setattr__(self, "structures", {})
        options = {
            "input_mapping": input_mapping,
            "output_mapping": output_mapping,
            "timer": timer,
            "forward_func": forward_func,
            "batching": batching,
            "precision": precision,
            "model_path": model_path,
        }
        object.__setattr__(self, "options", options)
        object.__setattr__(self, "optimized_name", _registered_name(module, name))
        _REGISTERED[self.optimized_name] = self

    def __getattr__(self, name: str) -> Any:
        """What this object lacks is the wrapped module's."""
        wrapped = self.__dict__["_modules"]["wrapped"]
        return wrapped if name == "wrapped" else getattr(wrapped, name)

    @property
    def directory(self) -> Path:
        """Where the optimised forms of this module are kept."""
        given = self.options["model_path"]
        return inplace_config.directory / self.optimized_name if given is None else Path(given).absolute()

    @property
    def is_optimized(self) -> bool:
        """Whether some structure of inputs is served by a winner."""
        return any(structure.runner is not None for structure in self.structures.values())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The winner's outputs in the module's own structure; the module's where nothing better is known."""
        started = time.perf_counter()
        result = self._answer(args, kwargs)
        if self.options["timer"] is not None:
            self.options["timer"](self.optimized_name, time.perf_counter() - started)
        return result

    def _answer(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.options["input_mapping"] is not None:
            args, kwargs = self.options["input_mapping"](*args, **kwargs)
        key = structure_key(args, kwargs)
        known = self.structures.get(key)
        if known is not None and known.runner is not None:
            result = known.serve(args, kwargs)
        else:
            result = self._eager(*args, **kwargs)
            if self.state == "recording":
                structure = self.structures.setdefault(key, RecordedCalls())
                structure.record(args, kwargs, result, batch=_said_batch)
        mapping = self.options["output_mapping"]
        return result if mapping is None else mapping(result)

    def optimize(self, config: OptimizeConfig) -> None:
        """Optimise every recorded structure, and serve the winners.

        Raises:
            TurnkeyError: as `turnkey.optimize`.
        """
        for key, structure in self.structures.items():
            if not structure.samples:
                continue
            if not structure.result:
                message = f"{self.optimized_name} returns more than tensors: it goes on answering such calls itself"
                warnings.warn(message, ConfigurationWarning, stacklevel=2)
                continue
            said = [self.options["batching"], config.batching, bool(structure.batches)]
            workspace = self.directory / key
            given = config.for_module(
                batching=next(each for each in said if each is not None),
                custom_configs=self._configs(config),
                workspace=workspace,
            )
            target = self._target()
            package = dispatch.optimized(target, list(structure.samples), check_call(target, given))
            structure.write(workspace)
            structure.activate(package)
        object.__setattr__(self, "state", "optimized")

    def load(self, device: DeviceKind | str | None = None) -> None:
        """Serve what an earlier process made.

        Raises:
            NotFoundError: nothing was made for this module.
        """
        found = stored_workspaces(self.directory)
        if not found:
            raise NotFoundError(
                f"the module {self.optimized_name} was not optimised before",
                evidence=str(self.directory),
                remedy="turnkey.navigator.optimize(func, dataloader)",
            )
        for workspace in found:
            package = load_from_workspace(workspace)
            package.load_source_model(self._target())
            self.structure_at(workspace.name).activate(package, device)
        object.__setattr__(self, "state", "optimized")

    def structure_at(self, key: str) -> RecordedCalls:
        """A structure that was optimised, by this process or an earlier one, by its key."""
        structure: RecordedCalls = self.structures.setdefault(key, RecordedCalls())
        structure.read(self.directory / key)
        return structure

    def run_eager(self) -> None:
        """Answer every call by the module itself."""
        for structure in self.structures.values():
            structure.deactivate()
        object.__setattr__(self, "state", "eager")

    def packages(self) -> dict[str, Package]:
        """The package of each structure that was optimised, by its key."""
        return {path.name: load_from_workspace(path) for path in stored_workspaces(self.directory)}

    def _configs(self, config: OptimizeConfig) -> list[CustomConfig]:
        """The custom configs of a call, with the module's precision for engines that none of them is for."""
        given: list[CustomConfig] = list(config.custom_configs or ())
        targets = targets_of(Format.TORCH, config.target_formats)
        named = {each.name() for each in given}
        for kind in (TensorRTConfig, TorchTensorRTConfig):
            made = kind(precision=self.options["precision"])
            if made.format in targets and made.name() not in named:
                given.append(made)
        return given

    def _target(self) -> torch.nn.Module:
        wrapped = self._modules["wrapped"]
        method = self.options["forward_func"]
        return wrapped if method is None else _Method(wrapped, method)

    def _eager(self, *args: Any, **kwargs: Any) -> Any:
        wrapped, method = self._modules["wrapped"], self.options["forward_func"]
        return (wrapped if method is None else getattr(wrapped, method))(*args, **kwargs)


class _Method(torch.nn.Module):  # type: ignore[misc]
    """A module whose call is a method of another."""

    def __init__(self, wrapped: torch.nn.Module, method: str) -> None:
        super().__init__()
        self.wrapped = wrapped
        self.method = method

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self.wrapped, self.method)(*args, **kwargs)


def begin_recording() -> None:
    """Every module of this process answers by itself, and keeps what it is called with."""
    for each in _REGISTERED.values():
        each.run_eager()
        object.__setattr__(each, "state", "recording")


@contextmanager
def said(batch: int | None) -> Iterator[None]:
    """Calls that are made meanwhile are recorded as of this batch size; None is not known."""
    global _said_batch
    _said_batch = batch
    try:
        yield
    finally:
        _said_batch = None


def registered() -> dict[str, Module]:
    """The modules of this process by name."""
    return dict(_REGISTERED)


def forget(name: str) -> None:
    """Take a module out of the list; its optimised forms stay where they are."""
    _REGISTERED.pop(name).run_eager()


def _registered_name(found: torch.nn.Module, name: str | None) -> str:
    if name is not None:
        if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
            raise ConfigurationError("this is no name for a module", evidence=repr(name))
        if name in _REGISTERED:
            raise ConfigurationError(f"a module named {name!r} is wrapped already", remedy="give it another name")
        return name
    base = type(found).__name__.lower()
    number = 0
    while (candidate := base if number == 0 else f"{base}-{number}") in _REGISTERED:
        number += 1
    return candidate
