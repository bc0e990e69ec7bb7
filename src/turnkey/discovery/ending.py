"""How a Python process ends, done for a script alone: its threads, its exit handlers, its child processes.

``python script.py`` ends in this order: threads that are not daemons are waited for (idle pool workers are told to
go first), exit handlers run last in, first out, and multiprocessing waits for its children. Here the same happens to
what the script started, while what others started stays.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple


class _Handler(NamedTuple):
    function: Callable[..., object]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class Ending:
    """Watches what a script starts, from construction on; `perform` ends it.

    Args:
        is_user_module: whether exit handlers registered by code of this ``__name__`` and file are the script's own.
            Handlers of libraries stay registered with the process, since the libraries stay loaded.
    """

    def __init__(self, is_user_module: Callable[[str, str], bool]) -> None:
        self._is_user_module = is_user_module
        self._threads = set(threading.enumerate())
        self._handlers: list[_Handler] = []
        self._register, self._unregister = atexit.register, atexit.unregister
        children = sys.modules.get("multiprocessing.process")
        self._children = set(children._children) if children is not None else set()
        atexit.register = self._take  # type: ignore[assignment]
        atexit.unregister = self._drop

    def perform(self) -> None:
        """Wait for the script's threads, run its exit handlers, wait for its processes."""
        _dismiss_idle_pool_threads(self._threads)
        while started := [
            thread for thread in threading.enumerate() if thread not in self._threads and not thread.daemon
        ]:
            for thread in started:
                if thread is not threading.current_thread():
                    thread.join()
        while self._handlers:
            handler = self._handlers.pop()
            try:
                handler.function(*handler.args, **handler.kwargs)
            except SystemExit:
                continue  # as at the end of a process: ignored
            except Exception:  # noqa: BLE001 - as at the end of a process: told, then the next handler runs
                traceback.print_exc()
        self._finish_children()

    def release(self) -> None:
        """Stop watching. To be called also when `perform` was not."""
        atexit.register, atexit.unregister = self._register, self._unregister

    def _finish_children(self) -> None:
        module = sys.modules.get("multiprocessing.process")
        if module is None:
            return
        children = [child for child in set(module._children) - self._children if child._parent_pid == os.getpid()]
        for child in children:
            if child.daemon:
                child.terminate()
        for child in children:
            child.join()

    def _take(self, function: Callable[..., object], /, *args: Any, **kwargs: Any) -> Callable[..., object]:
        scope = sys._getframe(1).f_globals
        if self._is_user_module(str(scope.get("__name__", "")), str(scope.get("__file__") or "")):
            self._handlers.append(_Handler(function, args, kwargs))
            return function
        return self._register(function, *args, **kwargs)

    def _drop(self, function: Callable[..., object], /) -> None:
        self._handlers = [handler for handler in self._handlers if handler.function != function]
        self._unregister(function)


def _dismiss_idle_pool_threads(kept: set[threading.Thread]) -> None:
    """What `concurrent.futures` does at exit, for the workers of the script's own executors only.

    Without it the idle workers of an executor that nobody shut down would be waited for without end.
    """
    threads: Any = sys.modules.get("concurrent.futures.thread")
    if threads is not None:
        queues = {thread: queue for thread, queue in list(threads._threads_queues.items()) if thread not in kept}
        with threads._global_shutdown_lock:
            threads._shutdown = True
        for queue in queues.values():
            queue.put(None)
        for thread in queues:
            thread.join()
        threads._shutdown = False
    processes: Any = sys.modules.get("concurrent.futures.process")
    if processes is not None:
        wakeups = {thread: wakeup for thread, wakeup in list(processes._threads_wakeups.items()) if thread not in kept}
        processes._global_shutdown = True
        for wakeup in wakeups.values():
            wakeup.wakeup()
        for thread in wakeups:
            thread.join()
        processes._global_shutdown = False
