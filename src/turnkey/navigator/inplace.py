"""Optimising modules where they are: `Module` stands in a module's place, records its calls, then serves the winner.

    model.encoder = turnkey.Module(model.encoder, name="encoder")
    turnkey.navigator.optimize(pipeline, dataloader=[(1, sample)])
    pipeline(sample)                       # the encoder now runs on the best verified runtime

A later process calls `load_optimized` instead. A call whose inputs have another structure than the recorded ones is
answered by the module itself. Samples are kept as arrays, never pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from numbers import Integral
from typing import TYPE_CHECKING, Any

from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import DeviceKind
from turnkey.navigator.inplace_settings import OptimizeConfig
from turnkey.navigator.wrapped_module import Module, begin_recording, registered, said

if TYPE_CHECKING:
    import torch

__all__ = ["Module", "load_optimized", "module", "optimize"]


def module(found: Any = None, **options: Any) -> Any:
    """Decorator for functions that make modules: what they return is wrapped in `Module`."""

    def decorated(make: Callable[..., torch.nn.Module]) -> Callable[..., Module]:
        def made(*args: Any, **kwargs: Any) -> Module:
            return Module(make(*args, **kwargs), **options)

        return made

    return decorated if found is None else decorated(found)


def optimize(
    func: Callable[[Any], Any],
    dataloader: Iterable[tuple[int, Any]],
    config: OptimizeConfig | None = None,
) -> dict[str, Module]:
    """Call a function on samples, record what its wrapped modules were called with, and optimise them.

    Args:
        func: calls the modules; takes one sample.
        dataloader: (batch size, sample).

    Returns:
        The modules by name.

    Raises:
        ConfigurationError: no module is wrapped, none was called, or the dataloader yields something else.
    """
    modules = registered()
    if not modules:
        raise ConfigurationError("no module is wrapped", remedy="model.encoder = turnkey.Module(model.encoder)")
    begin_recording()
    for item in dataloader:
        if not isinstance(item, tuple | list) or len(item) != 2 or not isinstance(item[0], Integral | None):
            raise ConfigurationError("what is recorded is (batch size, sample)", evidence=repr(item)[:200])
        with said(item[0]):
            func(item[1])
    called = {name: each for name, each in modules.items() if each.structures}
    if not called:
        raise ConfigurationError(
            "the function called none of the wrapped modules", evidence=f"wrapped: {', '.join(modules)}"
        )
    for each in called.values():
        each.optimize(config or OptimizeConfig())
    return called


def load_optimized(device: DeviceKind | str | None = None) -> None:
    """Serve every wrapped module by the winner that an earlier process found.

    Raises:
        NotFoundError: one of them was never optimised.
    """
    for each in registered().values():
        each.load(device)
