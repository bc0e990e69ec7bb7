"""The worker process: ``python -m turnkey.measure.worker COMMANDS REPLIES PARENT``.

Commands and replies are JSON lines on two dedicated pipes, one reply per command; standard output and error are
log files, so that whatever a runtime prints can never be read as a reply. The first command is ``start``.
It dies with its parent, even a stopped one (`PR_SET_PDEATHSIG`), so that nothing is left after ``kill -9``.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from turnkey.errors import TurnkeyError, UsageError

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> int:
    """Serve commands until the pipe closes; returns the exit code."""
    commands_fd, replies_fd, parent = (int(text) for text in arguments)
    _die_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer: it ends us
    for descriptor in (commands_fd, replies_fd):
        os.set_inheritable(descriptor, False)  # a runtime's own children must not hold the pipes open
    with os.fdopen(commands_fd, "rb") as commands, os.fdopen(replies_fd, "wb") as replies:
        first = json.loads(commands.readline())
        serve = _server(first)
        _reply(replies, {"ok": {"pid": os.getpid()}})
        for line in commands:
            command = json.loads(line)
            _reply(replies, _answer(serve, command))
    return 0


def _server(start: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Any]:
    def make() -> Any:
        return _factory(start["factory"])(threads=start["threads"], **start["arguments"])

    def serve(command: Mapping[str, Any]) -> Any:
        name, arguments = command["do"], command.get("with", {})
        result = getattr(bench, name)(**arguments)
        return asdict(result) if hasattr(result, "__dataclass_fields__") else result

    from turnkey.measure.bench import Bench

    bench = Bench(make, same_input=start["same_input"], cold_cache=start["cold_cache"])
    return serve


def _answer(serve: Callable[[Mapping[str, Any]], Any], command: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"ok": serve(command)}
    except TurnkeyError as error:
        return {"error": error.to_dict(), "ours": True}
    except Exception as error:  # noqa: BLE001 - a model or runtime may raise anything; it travels to the record
        traceback.print_exc()
        what = f"{type(error).__name__}: {error}"
        return {"error": {"type": "model failed", "what": what, "evidence": traceback.format_exc(limit=-3)}}


def _reply(pipe: Any, message: dict[str, Any]) -> None:
    try:
        text = json.dumps(message, allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        text = json.dumps({"error": {"type": "model failed", "what": f"a fact cannot be written as JSON: {error}"}})
    pipe.write(text.encode() + b"\n")
    pipe.flush()


def _plain(value: Any) -> Any:
    """numpy scalars and paths among the facts of a target."""
    return value.item() if hasattr(value, "item") else str(value)


def _factory(place: str) -> Callable[..., Any]:
    module, _, name = place.partition(":")
    found = getattr(importlib.import_module(module), name, None)
    if not callable(found):
        raise UsageError(f"a target's factory is package.module:function, not {place!r}")
    made: Callable[..., Any] = found
    return made


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
