"""Runtimes by name, by alias, and by the format that they execute."""

from __future__ import annotations

from collections.abc import Iterator

from turnkey.errors import UsageError
from turnkey.plugins import PluginTable, require_installed
from turnkey.runtimes.runtime import Runtime

# Text, not imports: a worker imports only the runtime that it measures.
RUNTIMES = PluginTable(
    group="turnkey.runtimes",
    noun="runtime",
    builtin={
        "torch": "turnkey.runtimes.torch_eager:RUNTIME",
        "torch-bf16": "turnkey.runtimes.torch_eager:BF16",
        "torch-fp16": "turnkey.runtimes.torch_eager:FP16",
        "torch-compile": "turnkey.runtimes.torch_compile:RUNTIME",
        "torch-compile-max-autotune": "turnkey.runtimes.torch_compile:MAX_AUTOTUNE",
        "torch-compile-freezing": "turnkey.runtimes.torch_compile:FREEZING",
        "torchscript": "turnkey.runtimes.torchscript:RUNTIME",
        "torch-exportedprogram": "turnkey.runtimes.torch_exportedprogram:RUNTIME",
        "torch-aoti": "turnkey.runtimes.torch_aoti:RUNTIME",
        "onnxruntime": "turnkey.runtimes.onnxruntime:RUNTIME",
        "openvino": "turnkey.runtimes.openvino:RUNTIME",
        "onnx-reference": "turnkey.runtimes.onnx_reference:RUNTIME",
        "tensorrt": "turnkey.runtimes.tensorrt:RUNTIME",
        "tensorrt-engine": "turnkey.runtimes.tensorrt_engine:RUNTIME",
        "torch-tensorrt": "turnkey.runtimes.torch_tensorrt:RUNTIME",
        "executorch": "turnkey.runtimes.executorch:RUNTIME",
        "python": "turnkey.runtimes.python:RUNTIME",
        "jax": "turnkey.runtimes.jax:RUNTIME",
        "mlf": "turnkey.mlf.runtime:RUNTIME",
    },
)


def find_runtime(name: str) -> Runtime:
    """The runtime of that name or alias, with what it needs installed.

    Raises:
        UsageError: there is none of that name.
        MissingDependencyError: it needs something that is not installed.
    """
    runtime = _named(name)
    require_installed(runtime, noun="runtime")
    return runtime


def known_runtime(text: str) -> str:
    """A runtime's own name, from its name or alias: parses one word of a command line.

    Raises:
        ValueError: there is none of that name; the reason lists those that exist.
    """
    try:
        return _named(text).name
    except UsageError as error:
        raise ValueError(f"{error.what}; {error.evidence}") from error


def runtimes_of(stored_as: str) -> Iterator[str]:
    """Names of the runtimes that execute a format, the first choice first; whether installed or not.

    Raises:
        UsageError: there is none.
    """
    found = False
    for name in RUNTIMES.names():
        runtime: Runtime = RUNTIMES.load(name)
        if stored_as in runtime.executes:
            found = True
            yield runtime.name
    if not found:
        raise UsageError(
            f"no runtime executes the format {stored_as}", evidence=f"runtimes: {', '.join(RUNTIMES.names())}"
        )


def default_runtime(stored_as: str) -> str:
    """Name of the first runtime that executes a format. Raises as `runtimes_of`."""
    return next(runtimes_of(stored_as))


def _named(name: str) -> Runtime:
    if name in RUNTIMES.names():
        runtime: Runtime = RUNTIMES.load(name)
        return runtime
    for known in RUNTIMES.builtin:  # aliases are the originals' names, which plug-ins do not have
        candidate: Runtime = RUNTIMES.load(known)
        if name in candidate.aliases:
            return candidate
    unknown: Runtime = RUNTIMES.load(name)  # raises with the list of names
    return unknown
