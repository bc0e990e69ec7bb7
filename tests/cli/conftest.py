"""A working directory with small inputs and a cache of its own, and a way to run the command on a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

RELU = """
<ir_version: 10, opset_import: ["" : 20]>
net (float[batch, 4] x) => (float[batch, 4] y) { y = Relu(x) }
"""
NEGATION = """
<ir_version: 10, opset_import: ["" : 20]>
negation (float[2] x) => (float[2] y) { y = Neg(x) }
"""


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: ``m.onnx`` and ``n.onnx`` are models, ``bad.onnx`` is none."""
    onnx.save(onnx.parser.parse_model(RELU), tmp_path / "m.onnx")
    onnx.save(onnx.parser.parse_model(NEGATION), tmp_path / "n.onnx")
    (tmp_path / "bad.onnx").write_bytes(b"\xff\xfe not a model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TURNKEY_CACHE_DIR", str(tmp_path / "cache"))
    for variable in ("TURNKEY_TRACEBACK", "TURNKEY_BUILD_MONITOR", "NO_COLOR"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path


@pytest.fixture
def on_terminal() -> Callable[..., tuple[int, str]]:
    """Run the command with a terminal as its standard streams; its exit code and all that it wrote."""

    def run(*words: str, columns: int = 80, **variables: str) -> tuple[int, str]:
        child, terminal = pty.fork()
        if child == 0:
            fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
            os.environ.update({"TERM": "xterm", "PYTHONIOENCODING": "utf-8", **variables})
            os.execv(sys.executable, [sys.executable, "-m", "turnkey.cli.main", *words])
        written = b""
        while True:
            try:
                block = os.read(terminal, 65536)
            except OSError:  # Linux answers so when the other side has closed
                break
            if not block:
                break
            written += block
        _, status = os.waitpid(child, 0)
        os.close(terminal)
        return os.waitstatus_to_exitcode(status), written.decode()

    return run
