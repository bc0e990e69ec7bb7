"""Hashes of a script's top-level models with parameters, found in a process of their own.

``discover --all`` makes one build of each; the caller must know them before it plans, and must not become the
process in which the script ran.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from turnkey.discovery.options import DiscoveryOptions
from turnkey.discovery.visit import let_go, visit


def top_level_hashes(
    path: str, *, script_args: str = "", compiled: str = "run", seconds: float | None = None
) -> list[str]:
    """In order of first call; empty if the script fails, calls no model, or takes longer than ``seconds``.

    What the script prints is dropped: it runs again for each build, with a log.
    """
    reading, writing = os.pipe()
    # -P: a file of the working directory must not stand in for a module of the library.
    command = [sys.executable, "-P", "-m", __name__, path, script_args, compiled, str(writing)]
    process = subprocess.Popen(
        command,
        pass_fds=[writing],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(writing)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        pass
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()
        with open(reading, "rb") as file:
            os.set_blocking(reading, False)  # a surviving child of the script may hold the other end open
            content = file.read() or b""
    return [str(entry) for entry in json.loads(content)] if content else []


def main(path: str, script_args: str, compiled: str, descriptor: str) -> None:
    """Write the hashes to a descriptor, as JSON."""
    listing = visit(path, script_args=script_args, options=DiscoveryOptions(compiled=compiled)).listing
    let_go()
    hashes = [model.hash for model in listing.models if model.hash and model.parameter_count]
    with open(int(descriptor), "w", encoding="ascii") as file:
        json.dump(hashes, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
