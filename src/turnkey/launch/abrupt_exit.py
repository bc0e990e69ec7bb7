"""A script that calls ``os._exit`` in the process of the call: it ends everything, but not silently and not with 0."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn


@contextmanager
def abrupt_exit_told(name: str) -> Iterator[None]:
    """While an input is worked on in this process, say on standard error if it ends the process by ``os._exit``.

    Nothing can be done about the end itself, and nothing is seen of one that C code brings about. Forked children end
    as ever. The exit code is that of the script, but never 0: the other inputs were not run.
    """
    real, owner, terminal = os._exit, os.getpid(), os.dup(2)

    def leave(status: int) -> NoReturn:
        if os.getpid() == owner:
            text = (
                f"model failed: {name} ended the whole call by os._exit({status})\n"
                "  do:       put each input in a process of its own: --process-isolation --resume\n"
            )
            os.write(terminal, text.encode("utf-8", "backslashreplace"))
            real(status or 1)
        real(status)

    os._exit = leave
    try:
        yield
    finally:
        os._exit = real
        os.close(terminal)
