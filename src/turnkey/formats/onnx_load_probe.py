"""Whether ONNX Runtime can load a file at all, asked in a process of its own.

Its optimisers can crash: 1.31.1 dies with a segmentation fault in its NCHWc transformer on some float16 graphs
(``Transpose`` of the leading axes, then ``MatMul`` with constant weights). Whoever loaded such a file would die too.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import sys
import onnxruntime
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
options.intra_op_num_threads = 1
try:
    onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
except Exception as error:
    sys.exit(str(error))
"""
_LIMIT_SECONDS = 600


class LoadCrash(Exception):
    """The process that loaded the file was killed by a signal."""


def load_refusal(path: Path) -> str | None:
    """None if ONNX Runtime loads the file with its default options, else why not, in its own words.

    Raises:
        LoadCrash: it died instead of answering.
    """
    done = subprocess.run(
        [sys.executable, "-P", "-c", _PROGRAM, str(path)],  # -P: no module of the working directory
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        timeout=_LIMIT_SECONDS,
    )
    if done.returncode < 0:
        raise LoadCrash(f"ONNX Runtime was killed by {signal.Signals(-done.returncode).name} while loading it")
    return done.stderr.strip() or "no reason given" if done.returncode else None
