"""Defaults that a user can change by environment variables; read when used, never at import."""

from __future__ import annotations

import os
import time
from pathlib import Path

from turnkey.errors import UsageError

ONNX_OPSET = 20
TIMEOUT_SECONDS = 3600
LOG_LEVELS = ("warning", "info", "debug")
"""From few words to many."""
CONVERSION_CACHE_GIB = 4

_FALSE = {"false", "0", "no", "off"}


def cache_dir() -> Path:
    """``$TURNKEY_CACHE_DIR``, else ``~/.cache/turnkey``; ``~`` expanded, absolute."""
    text = os.environ.get("TURNKEY_CACHE_DIR") or "~/.cache/turnkey"
    return absolute_path(text)


def absolute_path(text: str | os.PathLike[str]) -> Path:
    """``~`` expanded, made absolute once against the working directory; links stay."""
    return Path(os.path.abspath(os.path.expanduser(os.fspath(text))))


def onnx_opset() -> int:
    """``$TURNKEY_ONNX_OPSET``, else 20."""
    return int(_positive("TURNKEY_ONNX_OPSET", ONNX_OPSET, whole=True))


def timeout_seconds() -> float:
    """``$TURNKEY_TIMEOUT_SECONDS``, else 3600; seconds, positive, no upper bound."""
    return _positive("TURNKEY_TIMEOUT_SECONDS", TIMEOUT_SECONDS, whole=False)


def traceback_mode() -> str:
    """``$TURNKEY_TRACEBACK`` as ``user`` (unset), ``none`` (False) or ``full`` (True)."""
    text = os.environ.get("TURNKEY_TRACEBACK")
    if text is None or text == "":
        return "user"
    return "none" if text.strip().lower() in _FALSE else "full"


def monitor_enabled() -> bool:
    """``$TURNKEY_BUILD_MONITOR``: any of false, 0, no, off (any case) switches the monitor off."""
    return _is_on("TURNKEY_BUILD_MONITOR")


def console_output() -> bool:
    """``$TURNKEY_CONSOLE_OUTPUT``: any of false, 0, no, off (any case) keeps ``optimize`` and `LexerContext` quiet."""
    return _is_on("TURNKEY_CONSOLE_OUTPUT")


def log_level() -> str:
    """``$TURNKEY_LOG_LEVEL``, else ``info``: how much ``optimize`` tells. ``warning``, ``info`` or ``debug``."""
    text = os.environ.get("TURNKEY_LOG_LEVEL", "").strip().lower() or LOG_LEVELS[1]
    if text not in LOG_LEVELS:
        raise UsageError(
            "TURNKEY_LOG_LEVEL must be one of " + ", ".join(LOG_LEVELS),
            evidence=f"TURNKEY_LOG_LEVEL={text!r}",
            remedy="export TURNKEY_LOG_LEVEL=info   # or: unset TURNKEY_LOG_LEVEL",
        )
    return text


def multiprocessing_enabled() -> bool:
    """``$TURNKEY_MULTIPROCESSING``: any of false, 0, no, off keeps the conversions of ``optimize`` in its process."""
    return _is_on("TURNKEY_MULTIPROCESSING")


def conversion_cache_bytes() -> int:
    """``$TURNKEY_CONVERSION_CACHE`` GiB of converted models that ``optimize`` keeps, else 4; 0 keeps none."""
    text = os.environ.get("TURNKEY_CONVERSION_CACHE", "").strip()
    if text == "0":
        return 0
    return int(_positive("TURNKEY_CONVERSION_CACHE", CONVERSION_CACHE_GIB, whole=False) * 2**30)


def machine_lock() -> Path | None:
    """``$TURNKEY_MACHINE_LOCK``, else ``/tmp/turnkey-machine.lock``; None if the variable is empty.

    By this file calls on one machine take turns: what measures is alone on its processors. It does not follow
    ``TMPDIR``, which differs from one process to the next. Containers on one host share it by mounting it.
    """
    text = os.environ.get("TURNKEY_MACHINE_LOCK")
    if text is None:
        return Path("/tmp/turnkey-machine.lock")
    return absolute_path(text) if text.strip() else None


def packing_time() -> float:
    """Now, seconds since 1970; or ``$SOURCE_DATE_EPOCH``, by which what is packed is repeated byte for byte."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return float(fixed) if fixed.isdecimal() else time.time()


def _is_on(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in _FALSE


def _positive(variable: str, default: float, *, whole: bool) -> float:
    text = os.environ.get(variable)
    if text is None or not text.strip():
        return default
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = -1
    if not 0 < value < float("inf"):
        kind = "a positive integer" if whole else "a positive number"
        raise UsageError(
            f"{variable} must be {kind}",
            evidence=f"{variable}={text!r}",
            remedy=f"export {variable}={default:g}   # or: unset {variable}",
        )
    return value
