"""JAX: executes StableHLO that `turnkey.formats.jax` wrote, compiled by XLA. No options.

XLA decides the threads of its own pool; the number that was asked for is only noted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from turnkey.errors import ConversionError, UsageError
from turnkey.formats.failure_text import evidence_of
from turnkey.model.samples import Sample
from turnkey.runtimes.inputs import require_inputs
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime

if TYPE_CHECKING:
    from turnkey.formats.stored_call import StoredCall


class JaxRunner:
    """One function, compiled for the shapes that it is called with."""

    def __init__(self, exported: Any, stored: StoredCall, *, threads: int) -> None:
        import jax

        self._call = jax.jit(exported.call)
        self._names = tuple(spec.name for spec in stored.signature.inputs)
        self._output_names = tuple(spec.name for spec in stored.signature.outputs)
        self._threads = threads
        self._wait = jax.block_until_ready

    def prepare(self, sample: Sample) -> tuple[np.ndarray, ...]:
        """Arrays by position. Raises InputError where one is missing."""
        require_inputs(self._names, sample, taker="the function")
        return tuple(np.ascontiguousarray(sample[name]) for name in self._names)

    def run(self, prepared: tuple[np.ndarray, ...]) -> Any:
        """The call, ended when its results are there."""
        return self._wait(self._call(*prepared))

    def compile(self, prepared: tuple[np.ndarray, ...]) -> None:
        """Compile for inputs of these shapes by one call."""
        self.run(prepared)

    def outputs(self, result: Any) -> Sample:
        """Arrays under the names of the source function's outputs."""
        return {name: np.asarray(value) for name, value in zip(self._output_names, result, strict=True)}

    def describe(self) -> Mapping[str, Any]:
        """Version and device; XLA's threads are its own."""
        import jax

        return {
            "runtime_version": jax.__version__,
            "device": str(jax.devices()[0].platform),
            "placement": {},
            "fallback": None,
            "notes": [f"XLA decides its threads; {self._threads} were meant"],
        }

    def close(self) -> None:
        """Let go of the compiled function."""
        del self._call


class JaxRuntime:
    """The runtime ``jax``."""

    name = "jax"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("jax",)
    devices: tuple[str, ...] = ("cpu",)
    requires: tuple[str, ...] = ("jax",)
    install = "pip install 'turnkey[jax]'"
    compiles = True

    def load(self, request: LoadRequest) -> JaxRunner:
        """The function of the file.

        Raises:
            UsageError: there is no file, or an option.
            ArtifactError: it is not known how the file is called.
            ConversionError: this JAX cannot read it.
        """
        refuse_unknown(self.name, request.options, ())
        if request.path is None:
            raise UsageError("the runtime jax executes StableHLO files; there is none", remedy="convert --to jax")
        import jax

        from turnkey.formats.stored_call import read_stored_call

        stored = read_stored_call(request.path)
        try:
            exported = jax.export.deserialize(bytearray(request.path.read_bytes()))
        except Exception as error:  # a flatbuffer of another version fails in many ways
            raise ConversionError(
                f"JAX cannot read {request.path.name}",
                evidence=evidence_of(error),
                remedy="make it again with this version: convert --to jax",
            ) from error
        return JaxRunner(exported, stored, threads=request.threads)


RUNTIME: Runtime = JaxRuntime()
