"""Many small inputs with isolation: what a prewarmed worker saves, against fresh interpreters and TurnkeyML 4.0.11.

    python benchmarks/corpus.py                         # 50 inputs, both exporters, prewarmed and fresh
    python benchmarks/corpus.py --inputs 10 --kinds prewarmed --exporters torchscript
    python benchmarks/corpus.py --measure               # with optimize-ort and benchmark, as far as the host allows
    python benchmarks/corpus.py --architectures 200     # real networks of timm and transformers, discover + export

The networks of ``--architectures`` are the first of architectures.txt, with random weights and small where their
library lets them be. They stay in ``--place``: the same command after an interruption does what is missing.

Each line is one command in a process of its own: wall seconds, CPU seconds of the whole tree, seconds per input, and
the memory that a worker adds to its template (proportional set size, read while workers run). The published figures
of TurnkeyML 4.0.11 were taken on a shared host of the same kind (docs/scale.md); read ratios of CPU time.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

REPOSITORY = Path(__file__).parents[1]
PLACE = REPOSITORY / ".benchmarks" / "architectures"

PUBLISHED = {"wall": 189.0, "cpu": 194.0, "inputs": 50}
"""TurnkeyML 4.0.11: 50 small scripts, discover + export with the TorchScript exporter, isolated; one run."""

ARCHITECTURE = """\
#labels library::{library}
import runpy
import sys

sys.path.insert(0, {folder!r})
sys.argv += ["--arch", {name!r}]
runpy.run_path({script!r}, run_name="__main__")
"""

SCRIPT = """\
import torch

torch.manual_seed({seed})


class Small(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Linear({width}, {hidden})
        self.second = torch.nn.Linear({hidden}, 4)

    def forward(self, x):
        return self.second(torch.relu(self.first(x)))


Small()(torch.rand(2, {width}))
"""


class Run(NamedTuple):
    """One command over all inputs."""

    wall: float
    cpu: float
    worker_bytes: int
    statuses: dict[str, int]


def main() -> int:
    options = arguments()
    if options.architectures:
        return architectures(options)
    with tempfile.TemporaryDirectory(prefix="turnkey-corpus-") as directory:
        folder = Path(directory)
        paths = small_scripts(folder / "scripts", options.inputs)
        print(f"{options.inputs} small scripts, {options.jobs} at a time; {os.cpu_count()} processors")
        print(
            f"{'workers':<11} {'exporter':<12} {'wall s':>8} {'CPU s':>8} {'s/input':>8} {'MiB/worker':>11}"
            "  against the published"
        )
        worst = 0
        for exporter in options.exporters:
            for kind in options.kinds:
                tools = ["discover", "export-pytorch", "--exporter", "fast" if exporter == "torchscript" else "dynamo"]
                if options.measure:
                    tools += ["optimize-ort", "benchmark", "--effort", "quick", "--runtime", "onnxruntime"]
                run = command(paths, folder / f"{exporter}-{kind}", kind, options.jobs, tools)
                show(kind, exporter, run, options.inputs, is_published=not options.measure)
                worst = max(worst, sum(count for status, count in run.statuses.items() if status != "successful"))
        return 1 if worst else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=("prewarmed", "fresh"), default=["prewarmed", "fresh"])
    parser.add_argument("--exporters", nargs="+", choices=("torchscript", "dynamo"), default=["torchscript", "dynamo"])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--architectures", type=int, default=0, metavar="N", help="the first N of architectures.txt")
    parser.add_argument("--place", type=Path, default=PLACE, help="scripts and cache of --architectures")
    return parser.parse_args()


def small_scripts(folder: Path, count: int) -> list[Path]:
    """Networks of different widths, so that no two are the same model."""
    folder.mkdir(parents=True)
    paths = [folder / f"small{index:03d}.py" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_text(SCRIPT.format(seed=index, width=4 + index % 7, hidden=8 + index))
    return paths


def command(
    paths: list[Path], cache: Path, kind: str, jobs: int, tools: list[str], further: Iterable[str] = ()
) -> Run:
    """Run ``turnkey`` over the inputs; CPU seconds are those of all processes that it waited for or that they did.

    Args:
        further: global arguments.
    """
    words = ["-i", *map(str, paths), "-d", str(cache), "--process-isolation", "--jobs", str(jobs), "--json"]
    words += [*further, *(["--fresh"] if kind == "fresh" else [])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with open(cache.with_suffix(".err"), "wb") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "turnkey.cli.main", *words, *tools], stdout=subprocess.PIPE, stderr=errors
        )
        watch = MemoryWatch(process.pid)
        output, _ = process.communicate()
        watch.end()
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    statuses: dict[str, int] = {}
    for result in json.loads(output)["results"]:
        statuses[result["status"]] = statuses.get(result["status"], 0) + 1
        if result["status"] not in ("successful", "skipped"):
            print(f"  {result['input']}: {result['status']}: {result['reason']}", file=sys.stderr)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(wall=wall, cpu=cpu, worker_bytes=watch.largest_bytes, statuses=statuses)


class MemoryWatch:
    """The largest proportional set size of one worker, looked at twice a second."""

    def __init__(self, process: int) -> None:
        self.largest_bytes = 0
        self._process = process
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(0.5):
            try:
                leaves = [
                    child
                    for child in psutil.Process(self._process).children(recursive=True)
                    if not child.children() and child.ppid() != self._process
                ]
                for child in leaves:
                    self.largest_bytes = max(self.largest_bytes, child.memory_full_info().pss)
            except psutil.Error:
                continue  # it ended meanwhile


def show(kind: str, exporter: str, run: Run, inputs: int, *, is_published: bool = False) -> None:
    """One line.

    Args:
        is_published: whether the published figures are of this sequence.
    """
    against = ""
    if is_published and inputs == PUBLISHED["inputs"]:
        against = (
            f"{PUBLISHED['cpu'] / run.cpu:.1f} times less CPU, {PUBLISHED['wall'] / run.wall:.1f} times less time"
        )
    statuses = ", ".join(f"{count} {status}" for status, count in run.statuses.items())
    print(
        f"{kind:<11} {exporter:<12} {run.wall:8.1f} {run.cpu:8.1f} {run.wall / inputs:8.2f}"
        f" {run.worker_bytes / 2**20:11.0f}  {against} ({statuses})",
        flush=True,
    )


def architectures(options: argparse.Namespace) -> int:
    """Real architectures: every one has a result, whatever it is."""
    scripts = options.place / "scripts"
    scripts.mkdir(parents=True, exist_ok=True)
    paths = []
    lines = (REPOSITORY / "benchmarks" / "architectures.txt").read_text().splitlines()
    for library, name in (line.split() for line in lines[: options.architectures]):
        path = scripts / f"{library}-{name}.py"
        script = REPOSITORY / "models" / library / "any.py"
        path.write_text(ARCHITECTURE.format(library=library, name=name, folder=str(script.parent), script=str(script)))
        paths.append(path)
    tools = ["discover", "export-pytorch", "--exporter", "fast"]
    limits = ["--continue", "--timeout", "900", "--memory-limit", "8GiB", "--lean-cache"]
    run = command(paths, options.place / "cache", "prewarmed", options.jobs, tools, limits)
    show("prewarmed", "torchscript", run, len(paths))
    builds = {path.name for path in (options.place / "cache").iterdir()}
    lost = len(paths) - sum(run.statuses.values()) + sum(path.stem not in builds for path in paths)
    print(f"{lost} results lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
