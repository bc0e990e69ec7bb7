"""Runtimes: what executes a variant on a device. One module per runtime behind one small interface."""

from __future__ import annotations

from turnkey.runtimes.lookup import RUNTIMES, default_runtime, find_runtime
from turnkey.runtimes.options import parse_runtime_arguments
from turnkey.runtimes.runtime import CompilingRunner, LoadRequest, Runner, Runtime

__all__ = [
    "RUNTIMES",
    "CompilingRunner",
    "LoadRequest",
    "Runner",
    "Runtime",
    "default_runtime",
    "find_runtime",
    "parse_runtime_arguments",
]
