"""Runtimes: what executes a variant on a device. One module per runtime behind one small interface."""

from __future__ import annotations

from turnkey.plugins import PluginTable

__all__ = ["RUNTIMES"]

# Text, not imports: a worker imports only the runtime that it measures.
RUNTIMES = PluginTable(
    group="turnkey.runtimes",
    noun="runtime",
    builtin={
        "torch": "turnkey.runtimes.torch_eager:RUNTIME",
        "torch-compile": "turnkey.runtimes.torch_compile:RUNTIME",
        "onnxruntime": "turnkey.runtimes.onnxruntime:RUNTIME",
    },
)
