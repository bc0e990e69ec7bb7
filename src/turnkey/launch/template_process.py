"""The template: a process that has loaded everything once and forks a warden for every input.

Started by `turnkey.launch.template` in a fresh interpreter. It warms up (`warm_up`), draws the veil over what it has
loaded (`veil`), proves with a forked child that computing with several threads works there, and from then on only
waits: for the next input, for the end of a warden, for the end of the call. It computes in one thread, always: forks
of a process in which torch ran several hang. Idle threads that libraries start when they are loaded (OpenBLAS,
ONNX Runtime) do no harm, which is what the proof is for.

Messages are JSON on a socket that keeps their borders. From the call, with three descriptors (messages, lifeline,
log): ``{"number": n, "item": path}``. To the call: first ``{"ready": true}`` or ``{"refused": reason}``, then
``{"started": n, "pid": p}`` and ``{"ended": n, "exit_code": c}``.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from turnkey.errors import TurnkeyError
from turnkey.launch.process_tree import die_with_parent
from turnkey.launch.scratch import make_scratch, remove_scratch
from turnkey.launch.veil import ImportRecord, Veil
from turnkey.launch.work_item import read_work_item
from turnkey.launch.worker import watch_over
from turnkey.pipeline.capture import flush_everything

_PROOF_SECONDS = 20.0
_LARGEST_REQUEST = 1 << 16

_LOADED: set[str] = set()
"""Libraries that the warm-up has loaded, behind the veil now."""


def main(arguments: list[str]) -> int:
    """``[SOCKET, STEPS, SCRATCH]``: warm up for these steps, in that directory, then serve until the call has gone."""
    channel = socket.socket(fileno=int(arguments[0]))
    channel.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(True)  # while it warms up it hears nothing
    import turnkey.launch.execution  # noqa: F401 - what every worker has loaded before its script runs

    shown = set(sys.modules)
    from turnkey.launch.warm_up import warm_up

    scratch = Path(arguments[2])
    try:
        make_scratch(scratch)
        with ImportRecord() as record, warnings.catch_warnings():  # its end makes Python forget what was warned of
            actions = warm_up(tuple((tool, values) for tool, values in json.loads(arguments[1])), scratch)
    except (TurnkeyError, OSError, ImportError, AttributeError) as error:
        _tell(channel, {"refused": str(error).splitlines()[0]})
        return 1
    finally:
        remove_scratch(scratch)
    _LOADED.update(name for name in sys.modules if "." not in name)
    Veil(shown=shown, edges=record.edges, on_return=actions).lower()
    reason = _doubt()
    if reason:
        _tell(channel, {"refused": reason})
        return 1
    gc.collect()
    gc.freeze()  # the collector of a child would write into every page of objects, and so copy it
    die_with_parent(False)  # the thread that started us may end; the socket tells when the call does
    _tell(channel, {"ready": True})
    return _Server(channel).serve()


class _Server:
    """Forks and waits. A child never comes back here."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._wardens: dict[int, tuple[int, int]] = {}
        """By descriptor of the process: its number, and the process."""

    def serve(self) -> int:
        while True:
            watched: list[int] = [self._channel.fileno(), *self._wardens]
            ready, _, _ = select.select(watched, [], [])
            for descriptor in ready:
                if descriptor == self._channel.fileno():
                    code = self._next_input()
                    if code is not None:
                        return code
                else:
                    self._collect(descriptor)

    def _next_input(self) -> int | None:
        """Fork for the next input; an exit code when the call has gone."""
        content, descriptors, _, _ = socket.recv_fds(self._channel, _LARGEST_REQUEST, 3)
        if not content:
            return 0
        request = json.loads(content)
        messages, lifeline, log = descriptors
        process = os.fork()
        if process == 0:
            self._become_warden(Path(request["item"]), messages, lifeline, log)
        for descriptor in descriptors:
            os.close(descriptor)
        self._wardens[os.pidfd_open(process)] = (request["number"], process)
        _tell(self._channel, {"started": request["number"], "pid": process})
        return None

    def _become_warden(self, item: Path, messages: int, lifeline: int, log: int) -> NoReturn:
        os.setsid()
        self._channel.close()
        for descriptor in self._wardens:
            os.close(descriptor)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)
        warden, code = os.getpid(), 1
        try:
            code = watch_over(read_work_item(item), messages=messages, lifeline=lifeline)
        except SystemExit as end:  # the worker's: see `turnkey.launch.warden.supervise`
            code = end.code if isinstance(end.code, int) else 1
        except BaseException:  # noqa: BLE001 - as the interpreter would: told in the log, and an exit code
            traceback.print_exc()
        _leave(code, orderly=os.getpid() != warden)

    def _collect(self, descriptor: int) -> None:
        number, process = self._wardens.pop(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(process, 0)
        _tell(self._channel, {"ended": number, "exit_code": os.waitstatus_to_exitcode(status)})


def _leave(code: int, *, orderly: bool) -> NoReturn:
    """End a forked process without the destructors of C++ libraries.

    ONNX Runtime's wait for a thread that runs in the template only, and so for ever. What Python itself does at the
    end (threads, exit handlers, streams) is done before.

    Args:
        orderly: False for the warden, which has used none of it.
    """
    if orderly:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
    flush_everything()
    os._exit(code)


def _doubt() -> str:
    """Why workers must not be forked from here; empty if a forked child did what they will do."""
    if threading.active_count() > 1:
        return f"the template has the thread {threading.enumerate()[-1].name}"
    process = os.fork()
    if process == 0:
        os._exit(_computed())
    descriptor = os.pidfd_open(process)
    ended, _, _ = select.select([descriptor], [], [], _PROOF_SECONDS)
    os.close(descriptor)
    if not ended:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if not ended or status != 0:
        return f"a forked worker {'hangs' if not ended else 'fails'} when it computes with several threads"
    return ""


def _computed() -> int:
    """In the child: several threads of each library, as an input may use them; an exit code."""
    try:
        if "torch" in _LOADED:
            import torch

            torch.set_num_threads(4)
            assert float((torch.ones(400, 400) @ torch.ones(400, 400))[0, 0]) == 400.0
        if "numpy" in _LOADED:
            import numpy as np

            assert float((np.ones((400, 400)) @ np.ones((400, 400)))[0, 0]) == 400.0
        if "onnxruntime" in _LOADED and "onnx" in _LOADED:
            _run_session()
    except Exception:  # noqa: BLE001 - whatever it is, it is why nothing may be forked here
        traceback.print_exc()
        return 1
    return 0


def _run_session() -> None:
    import numpy as np
    import onnxruntime

    from turnkey.launch.warm_up import smallest_onnx

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(smallest_onnx(), options, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"x": np.ones((1, 4), dtype=np.float32)})
    assert found.tolist() == [[1.0] * 4]


def _tell(channel: socket.socket, content: dict[str, Any]) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # the call has gone; the loop will see it
        channel.send(json.dumps(content).encode())
