"""The interface of a runtime: what executes a variant on a device. One module per runtime, a plug-in each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample
from turnkey.model.signature import Signature


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """What to load and how.

    Attributes:
        module, structure: the live ``torch.nn.Module`` and how a sample becomes its call, for runtimes that execute
            it directly; else None.
        path: the variant's file; else None.
        threads: count for every pool of the runtime.
        options: the user's ``--rt-args``; a runtime refuses those that it does not know.
    """

    module: Any | None = None
    structure: CallStructure | None = None
    path: Path | None = None
    device: str = "cpu"
    threads: int
    options: Mapping[str, Any] = field(default_factory=dict)


class Runner(Protocol):
    """One loaded (variant, runtime, device, threads)."""

    def prepare(self, sample: Sample) -> Any:
        """The runtime's own form of the inputs; outside of what is timed."""

    def run(self, prepared: Any) -> Any:
        """The call, ended when the outputs can be read in host memory."""

    def outputs(self, result: Any) -> Sample:
        """Named arrays; names and order as the source model's where the format keeps them."""

    def describe(self) -> Mapping[str, Any]:
        """Facts: ``runtime_version``, ``device``, ``placement``, ``fallback`` (text or None), ``notes``."""

    def close(self) -> None: ...


class CompilingRunner(Runner, Protocol):
    """A runner of a runtime whose ``compiles`` is true."""

    def compile(self, prepared: Any) -> None:
        """Compile for inputs like these; what `run` would otherwise do at its first call."""


@runtime_checkable
class ClosedRunner(Protocol):
    """A runner of code that was compiled for fixed extents, which no file beside it tells.

    Attributes:
        signature: its inputs and outputs; every extent is a number.
    """

    @property
    def signature(self) -> Signature: ...

    def command_for(self, extents: Mapping[str, int]) -> str:
        """What makes it for these extents of its parent's symbolic dimensions: ``export-mlf --dim batch=4``."""


class Runtime(Protocol):
    """A runtime as a plug-in: an instance in its module's ``RUNTIME``, or an entry point ``turnkey.runtimes``.

    Attributes:
        name: ``onnxruntime``.
        aliases: names of the originals that are read: ``ort``, ``torch-eager``.
        executes: formats, in order of preference.
        devices: ``("cpu", "cuda")``.
        requires: import names that must be found: ``("onnxruntime",)``.
        install: the exact command that installs them.
        compiles: whether loading has a compile step that is reported apart.

    A runtime may also have ``preloads``: names of modules that a measuring process imports before it loads anything.
    """

    name: str
    aliases: tuple[str, ...]
    executes: tuple[str, ...]
    devices: tuple[str, ...]
    requires: tuple[str, ...]
    install: str
    compiles: bool

    def load(self, request: LoadRequest) -> Runner: ...
