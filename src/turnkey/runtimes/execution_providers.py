"""ONNX Runtime's execution providers: which are asked for in what order, and what each is told. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from turnkey.errors import UsageError

_OF_DEVICE = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
_ON_NVIDIA = ("CUDAExecutionProvider", "TensorrtExecutionProvider")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionProviders:
    """What a session is asked for.

    Attributes:
        names: in order.
        option_keys: keys of the user's options that are for a provider.
        options: for each provider, by its name.
    """

    names: tuple[str, ...]
    option_keys: frozenset[str]
    options: Mapping[str, Mapping[str, str]]

    def available(self, present: list[str]) -> list[tuple[str, dict[str, str]]]:
        """Those that this build of ONNX Runtime has, as it wants them."""
        return [(name, dict(self.options.get(name, {}))) for name in self.names if name in present]


def execution_providers(options: Mapping[str, Any], device: str) -> ExecutionProviders:
    """The providers of a device, or those of the option ``provider``.

    Args:
        options: of the user; ``NAME.OPTION`` is for the provider of that name, with or without its long ending.
        device: ``cpu``, ``cuda``, or ``cuda:1`` for another than the first GPU.

    Raises:
        UsageError: a device that no provider is known for.
    """
    kind, colon, number = device.partition(":")
    if (colon and not number.isdigit()) or (kind not in _OF_DEVICE and "provider" not in options):
        raise UsageError(
            f"the runtime onnxruntime does not know the device {device!r}",
            evidence=f"known: {', '.join(_OF_DEVICE)}, cuda:1 …",
            remedy="--rt-args provider::NAME names any of its execution providers",
        )
    given = options.get("provider", _OF_DEVICE.get(kind))
    names = tuple(_long(name) for name in ([given] if isinstance(given, str) else list(given or ())))
    keys: set[str] = set()
    told: dict[str, dict[str, str]] = {}
    if number:
        told = {name: {"device_id": number} for name in names if name in _ON_NVIDIA}
    for key, value in options.items():
        owner, dot, option = key.partition(".")
        if dot and option and _long(owner) in names:
            keys.add(key)
            told.setdefault(_long(owner), {})[option] = str(value)
    return ExecutionProviders(names=names, option_keys=frozenset(keys), options=told)


def _long(name: str) -> str:
    return name if name.endswith("ExecutionProvider") else f"{name}ExecutionProvider"
