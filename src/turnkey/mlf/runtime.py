"""Runtime ``mlf``: executes Model Library Format tarballs, compiled for this host.

Options (``--rt-args``): ``module`` (name, for tarballs of several), ``cc``, ``cflags`` (words separated by blanks).
The code runs on one thread, whatever is asked for.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.errors import UsageError
from turnkey.model.signature import Signature, TensorSpec
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest

if TYPE_CHECKING:
    from turnkey.mlf.runner import Call, ModuleRunner
    from turnkey.model.samples import Sample

_OPTIONS = ("module", "cc", "cflags")


class MlfRunner:
    """One module. ``run`` is the C call on memory that `prepare` laid out."""

    def __init__(self, runner: ModuleRunner, *, threads: int) -> None:
        self._runner = runner
        self._threads = threads

    @property
    def signature(self) -> Signature:
        """What the module was compiled for."""
        module = self._runner.module
        inputs, outputs = (
            tuple(TensorSpec(name=each.name, dtype=each.dtype, shape=tuple(each.shape)) for each in tensors)
            for tensors in (module.inputs, module.outputs)
        )
        return Signature(inputs=inputs, outputs=outputs)

    def command_for(self, extents: Mapping[str, int]) -> str:
        """The export for other extents of symbolic dimensions."""
        return " ".join(["export-mlf --dim", *(f"{name}={extent}" for name, extent in extents.items())])

    def prepare(self, sample: Sample) -> Call:
        return self._runner.prepare(sample)

    def run(self, prepared: Call) -> Call:
        self._runner.call(prepared)
        return prepared

    def outputs(self, result: Call) -> Sample:
        return self._runner.outputs(result)

    def describe(self) -> Mapping[str, Any]:
        """Compiler, flags and memory; one thread is said where more were asked for."""
        build = self._runner.build
        notes = ["the C code runs on one thread"] if self._threads > 1 else []
        return {
            "runtime_version": f"{build.compiler.name} {build.compiler.version}",
            "device": "cpu",
            "placement": {"cpu": len(self._runner.module.metadata.operator_functions)},
            "fallback": None,
            "notes": notes,
            "flags": list(build.flags),
            "workspace_bytes": int(self._runner.module.abi.get("workspace_bytes", 0)),
        }

    def close(self) -> None:
        """Nothing to give back: the library stays loaded until the process ends."""


class MlfRuntime:
    """Tarballs of C, compiled here."""

    name = "mlf"
    aliases = ()
    executes = ("mlf",)
    devices = ("cpu",)
    requires = ()
    install = "apt install gcc"
    compiles = False

    def load(self, request: LoadRequest) -> MlfRunner:
        """Build (or take from the cache) and load.

        Raises:
            UsageError: there is no tarball, or an option that this runtime does not know.
            MlfArtifactError, MlfMissingDependencyError: see `turnkey.mlf.load` and `Module.build`.
        """
        from turnkey.mlf.library import load

        refuse_unknown(self.name, request.options, _OPTIONS)
        if request.path is None:
            raise UsageError("the runtime mlf executes tarballs", remedy="turnkey -i m.onnx load-onnx export-mlf")
        cflags = request.options.get("cflags")
        module = load(request.path).module(request.options.get("module"))
        runner = module.build(
            cc=request.options.get("cc"), cflags=shlex.split(str(cflags)) if cflags is not None else None
        )
        return MlfRunner(runner, threads=request.threads)


RUNTIME = MlfRuntime()
