"""What a script may change of this process, remembered before it runs and put back afterwards.

Scope: what the Python standard library and numpy keep for the whole process. torch's defaults are in
`torch_defaults`, `__main__` and the script's modules in `script` (they stay while the model is in use).

Trade-offs (accepted): what a script does to other packages' globals stays; ``--process-isolation`` separates those.
"""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_SYS_NAMES = (
    "argv",
    "excepthook",
    "unraisablehook",
    "displayhook",
    "dont_write_bytecode",
    "stdin",
    "stdout",
    "stderr",
)


class Surroundings:
    """State of the process at the time of construction; `restore` puts it back."""

    def __init__(self) -> None:
        self._restorers: list[Callable[[], None]] = [
            *(_attribute(sys, name) for name in _SYS_NAMES),
            *(_list(sys, name) for name in ("path", "meta_path", "path_hooks")),
            _attribute(threading, "excepthook"),
            _attribute(warnings, "showwarning"),
            _warning_filters(),
            _working_directory(),
            _environment(),
            _value(sys.getrecursionlimit, sys.setrecursionlimit),
            _value(lambda: os.umask(os.umask(0o022)), os.umask),
            _value(random.getstate, random.setstate),
            _value(gc.isenabled, lambda enabled: gc.enable() if enabled else gc.disable()),
            _root_logger(),
            _start_method(),
            _processors(),
        ]
        if threading.current_thread() is threading.main_thread():
            self._restorers.append(_signals())
        if "numpy" in sys.modules:
            import numpy as np

            self._restorers.append(_value(np.random.get_state, np.random.set_state))

    def restore(self) -> None:
        """Put everything back; also what the script replaced by objects of its own."""
        sys.settrace(None)
        sys.setprofile(None)
        for restore in self._restorers:
            restore()


def _attribute(owner: Any, name: str) -> Callable[[], None]:
    value = getattr(owner, name)
    return lambda: setattr(owner, name, value)


def _value(read: Callable[[], Any], write: Callable[[Any], object]) -> Callable[[], None]:
    value = read()

    def restore() -> None:
        write(value)

    return restore


def _list(owner: Any, name: str) -> Callable[[], None]:
    value = getattr(owner, name)
    content = list(value)

    def restore() -> None:
        value[:] = content
        setattr(owner, name, value)

    return restore


def _warning_filters() -> Callable[[], None]:
    filters = list(warnings.filters)

    def restore() -> None:
        warnings.filters[:] = filters  # type: ignore[index]
        invalidate = getattr(warnings, "_filters_mutated", None)
        if invalidate is not None:  # else caches of "already shown" keep the script's rules
            invalidate()

    return restore


def _working_directory() -> Callable[[], None]:
    try:
        directory = os.open(".", os.O_RDONLY)  # survives a rename, unlike the name
    except OSError:
        return lambda: None

    def restore() -> None:
        os.fchdir(directory)
        os.close(directory)

    return restore


def _environment() -> Callable[[], None]:
    variables = dict(os.environ)

    def restore() -> None:
        for name in set(os.environ) - set(variables):
            del os.environ[name]
        for name, value in variables.items():
            if os.environ.get(name) != value:
                os.environ[name] = value

    return restore


def _signals() -> Callable[[], None]:
    handlers = {number: signal.getsignal(number) for number in signal.valid_signals()}
    timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
    set_before = {kind: signal.getitimer(kind) for kind in timers}
    started = time.monotonic()

    def restore() -> None:
        elapsed = time.monotonic() - started
        for kind, (delay, interval) in set_before.items():
            # An alarm that the script left behind would end with its process; one of ours goes on.
            signal.setitimer(kind, max(delay - elapsed, 1e-3) if delay else 0, interval)
        for number, handler in handlers.items():
            if handler is not None and signal.getsignal(number) is not handler:
                signal.signal(number, handler)

    return restore


def _processors() -> Callable[[], None]:
    """Those that this process may use: else what measures later has only those that the script left."""
    if not hasattr(os, "sched_setaffinity"):
        return lambda: None
    allowed = os.sched_getaffinity(0)

    def restore() -> None:
        if os.sched_getaffinity(0) != allowed:
            with suppress(OSError):  # taken from this process meanwhile, by somebody else
                os.sched_setaffinity(0, allowed)

    return restore


def _root_logger() -> Callable[[], None]:
    root = logging.getLogger()
    handlers, level, disabled = list(root.handlers), root.level, logging.root.manager.disable

    def restore() -> None:
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.disable(disabled)

    return restore


def _start_method() -> Callable[[], None]:
    """multiprocessing lets a process choose its start method once; the next script chooses anew."""
    context = sys.modules.get("multiprocessing.context")
    chosen = context._default_context._actual_context if context is not None else None

    def restore() -> None:
        module = sys.modules.get("multiprocessing.context")
        if module is not None:
            module._default_context._actual_context = chosen

    return restore
