"""Targets that misbehave on purpose, each at a step and in a round of its own choice; made in worker processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.errors import MissingDependencyError
from turnkey.measure.numpy_target import NumpyTarget
from turnkey.measure.target import Arrays


class FaultyTarget(NumpyTarget):
    """A numpy target with one fault.

    Args:
        fault: what it does.
        after: calls it makes properly first.
        once: file that is made when the fault happens; where it is there already, nothing happens.
        processes: file that grows by one byte per process; the fault happens from the third process on. The first is
            the calibration's, the second the first round's.
    """

    def __init__(self, *, fault: str, after: int = 0, once: str = "", processes: str = "") -> None:
        super().__init__(kernels=2, size=100_000)
        if processes:
            with Path(processes).open("a") as file:
                file.write("x")
            if Path(processes).stat().st_size < 3:
                fault = "none"
        self._fault = fault
        self._after = after
        self._once = Path(once) if once else None
        self._calls = 0

    def load(self) -> None:
        super().load()
        if self._fault == "missing":
            raise MissingDependencyError("openfoo is not installed", remedy="pip install openfoo")
        if self._fault == "raise-in-load":
            raise OSError("cannot read the model")

    def run(self, prepared: Any) -> Any:
        self._calls += 1
        if self._calls > self._after and self._is_due():
            self._misbehave()
        return super().run(prepared)

    def check(self, index: int, outputs: Arrays) -> str | None:
        if self._fault == "wrong":
            return "max abs error 0.5 where 1e-4 is allowed"
        return super().check(index, outputs)

    def outputs(self, result: Any) -> Arrays:
        if self._fault == "nan":
            return {"y": np.full(3, np.nan)}
        return super().outputs(result)

    def describe(self) -> Mapping[str, Any]:
        if self._fault == "nan-fact":
            return {"ratio": float("nan")}
        return {"fallback": "node Conv_3 runs on cpu"} if self._fault == "fallback" else {}

    def _is_due(self) -> bool:
        if self._once is None:
            return True
        if self._once.exists():
            return False
        self._once.touch()
        return True

    def _misbehave(self) -> None:
        match self._fault:
            case "crash":
                print("about to die", flush=True)
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(0)
            case "hang":
                time.sleep(3600)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "leak":
                import resource

                # the limit stands in for the kernel's out-of-memory killer, which would choose its own victim
                limit = 1 << 30
                resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
                hoard = []
                try:
                    while True:
                        hoard.append(bytearray(64 << 20))
                except MemoryError:
                    os.kill(os.getpid(), signal.SIGKILL)
            case "raise":
                raise RuntimeError("shape mismatch in node 7")
            case "garbage":
                for descriptor in range(3, 256):  # every descriptor it can find, the reply pipe among them
                    try:
                        os.write(descriptor, b"\x00\xffnot json\n")
                    except OSError:
                        continue
            case "print":
                print('{"ok": "forged"}', flush=True)
                print("noise", file=sys.stderr, flush=True)
            case "child":
                child = os.fork()
                if child == 0:
                    time.sleep(3600)
                if self._once is not None:
                    self._once.write_text(str(child))


def load_faulty(*, threads: int, fault: str, after: int = 0, once: str = "", processes: str = "") -> FaultyTarget:
    return FaultyTarget(fault=fault, after=after, once=once, processes=processes)
