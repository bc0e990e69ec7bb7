"""Building a revision: its input goes through the tools in a process of its own, with its own code on the path.

``python -m turnkey.report.gate.building JOB`` is that process; the job is a JSON file, and what comes of it is the
build directory. The parent reads nothing else back.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from turnkey.errors import TurnkeyError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.tool import Steps
from turnkey.report.gate.revision import Checkout

_TAIL_LINES = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """One input of one revision, ready to be measured.

    Attributes:
        import_path: for ``PYTHONPATH`` of processes that run the revision's code.
        interpreter: None is this one.
    """

    checkout: Checkout
    state: State
    interpreter: str | None = None

    @property
    def paths(self) -> BuildPaths:
        return BuildPaths(self.state.cache_dir, self.state.build_name)

    @property
    def environment(self) -> dict[str, str]:
        """Variables of processes that run the revision's code."""
        return {"PYTHONPATH": python_path(self.checkout)}


def build(
    checkout: Checkout,
    source: Path,
    steps: Steps,
    *,
    target: str | None,
    cache_dir: Path,
    interpreter: str | None,
    timeout_s: float,
    seed: int,
) -> Built:
    """Send ``source`` of this revision through the steps.

    Raises:
        TurnkeyError: a tool failed, or the process did; with the tail of its log.
    """
    name = source.stem
    cache_dir.mkdir(parents=True, exist_ok=True)
    job, log = cache_dir / "job.json", cache_dir / "log.txt"
    job.write_text(
        json.dumps(
            {
                "source": str(source),
                "target": target,
                "steps": [[tool, dict(arguments)] for tool, arguments in steps],
                "cache_dir": str(cache_dir / "cache"),
                "build_name": "model",
                "seed": seed,
            }
        ),
        encoding="utf-8",
    )
    command = [interpreter or sys.executable, "-m", "turnkey.report.gate.building", str(job)]
    code = _run(command, checkout, log=log, timeout_s=timeout_s)
    paths = BuildPaths(cache_dir / "cache", "model")
    if code != 0 or not paths.state.is_file():
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-_TAIL_LINES:])
        ended = "was stopped after its time" if code is None else f"ended with exit code {code}"
        raise TurnkeyError(
            f"{name} of {checkout.title} could not be built: {' '.join(tool for tool, _ in steps)} {ended}",
            evidence=tail,
            remedy=f"git checkout {checkout.commit[:8] or checkout.name}, then run the same tools on {source.name}",
        )
    return Built(checkout=checkout, state=load_state(state_path=paths.state), interpreter=interpreter)


def python_path(checkout: Checkout) -> str:
    """The revision's own modules before those of any other checkout that may be installed."""
    own = [str(path) for path in checkout.import_path]
    return os.pathsep.join([*own, *filter(None, [os.environ.get("PYTHONPATH")])])


def _run(command: Sequence[str], checkout: Checkout, *, log: Path, timeout_s: float) -> int | None:
    """Exit code; None where the time was over.

    Its process group ends with it, and, where it is stopped, every descendant that can still be found: measuring
    workers lead groups of their own. What a script moved away (a daemon of its own) is not ours to find.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=checkout.directory,
            env={**os.environ, "PYTHONPATH": python_path(checkout)},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            left = _descendants(process.pid)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for descendant in left:
                with suppress(psutil.Error):
                    descendant.kill()
            process.wait()


def _descendants(pid: int) -> list[psutil.Process]:
    """Of a process that is still there."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def work(job: Mapping[str, Any]) -> None:
    """The process: one sequence over one input.

    Raises:
        TurnkeyError: a tool failed.
    """
    from turnkey.pipeline.build_name import claim_directory
    from turnkey.pipeline.sequence import Sequence as ToolSequence
    from turnkey.pipeline.sequence_input import describe_input

    sequence = ToolSequence([(tool, arguments) for tool, arguments in job["steps"]])
    paths = BuildPaths(Path(job["cache_dir"]), job["build_name"])
    source = Path(job["source"])
    claim_directory(paths, str(source))
    sequence.launch(
        State(
            paths.cache_dir,
            paths.build_name,
            input=describe_input(source, target=job["target"], first=sequence.steps[0][1]),
            environment={"seed": job["seed"]},
        )
    )


if __name__ == "__main__":
    try:
        work(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    except TurnkeyError as failure:
        sys.exit(str(failure))
