"""What is measured: something a fresh process can load from a description and call.

The engine knows nothing of models. It starts a worker, the worker imports ``factory``, calls it with the
description's ``arguments`` (plain JSON) and the thread count, and gets an object with the methods of `Target`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]


class Target(Protocol):
    """One loaded thing. The worker calls the methods in this order, each timed apart."""

    def load(self) -> None:
        """Read the artifact and make it ready, without compiling where that is a step of its own."""

    def compile(self) -> bool:
        """Compile if that is a step of its own; False if there is none."""

    def samples(self) -> list[Arrays]:
        """Inputs to rotate through, made or read before timing."""

    def check(self, index: int, outputs: Arrays) -> str | None:
        """None if the outputs of sample ``index`` are right, else the reason they are not."""

    def prepare(self, sample: Arrays) -> Any:
        """Whatever `run` takes, made outside the timed call (a torch tensor from an array, bound buffers)."""

    def run(self, prepared: Any) -> Any:
        """The timed call: ends when the outputs can be read in host memory."""

    def outputs(self, result: Any) -> Arrays:
        """The result of `run` as named arrays; not timed."""

    def describe(self) -> Mapping[str, Any]:
        """Facts for the record, after the first call: version, threads, placement, fallback, notes."""

    def close(self) -> None:
        """Let go of everything."""


class DeviceTimer(Protocol):
    """What a target on an accelerator may have as its attribute ``device_timer``: calls seen from the device.

    The engine then times `run` of this in place of the target's own, so that both durations are of the same call.
    """

    def run(self, prepared: Any) -> Any:
        """As `Target.run`, with events recorded around each part."""

    def read(self) -> Mapping[str, list[int]]:
        """Nanoseconds by part (``device``, ``copy_in``, ``copy_out``) of each call since the last reading."""

    def flush(self) -> None:
        """Overwrite a buffer as large as the device's cache; returns when that is done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetDescription:
    """How a fresh process makes a target.

    Attributes:
        key: unique in the experiment, shown to users: ``onnxruntime``, ``onnx-fp16 @ onnxruntime``.
        factory: ``package.module:function``; called as ``factory(threads=n, **arguments)``, returns a `Target`.
        arguments: plain JSON values.
        threads: overrides the experiment's fair thread count; None uses it.
        interpreter: another environment's python; None is ``sys.executable``.
        environment: variables set before the process starts.
        facts: lineage, sha256, runtime, device …: copied into the record, not interpreted.
    """

    key: str
    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = None
    interpreter: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
