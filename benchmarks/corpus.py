"""Many small inputs with isolation: what a prewarmed worker saves, against fresh interpreters and TurnkeyML 4.0.11.

    python benchmarks/corpus.py                         # 50 inputs, both exporters, prewarmed and fresh
    python benchmarks/corpus.py --inputs 10 --kinds prewarmed --exporters torchscript
    python benchmarks/corpus.py --measure               # with optimize-ort and benchmark, as far as the host allows
    python benchmarks/corpus.py --architectures 200     # real networks of timm and transformers, discover + export

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
from pathlib import Path
from typing import NamedTuple

import psutil

PUBLISHED = {"wall": 189.0, "cpu": 194.0, "inputs": 50}
"""TurnkeyML 4.0.11: 50 small scripts, discover + export with the TorchScript exporter, isolated; one run."""

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
    with tempfile.TemporaryDirectory(prefix="turnkey-corpus-") as directory:
        folder = Path(directory)
        if options.architectures:
            return architectures(options, folder)
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
                show(kind, exporter, run, options.inputs)
                worst = max(worst, sum(count for status, count in run.statuses.items() if status != "successful"))
        return 1 if worst else 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=("prewarmed", "fresh"), default=["prewarmed", "fresh"])
    parser.add_argument("--exporters", nargs="+", choices=("torchscript", "dynamo"), default=["torchscript", "dynamo"])
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--architectures", type=int, default=0)
    return parser.parse_args()


def small_scripts(folder: Path, count: int) -> list[Path]:
    """Networks of different widths, so that no two are the same model."""
    folder.mkdir(parents=True)
    paths = [folder / f"small{index:03d}.py" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_text(SCRIPT.format(seed=index, width=4 + index % 7, hidden=8 + index))
    return paths


def command(paths: list[Path], cache: Path, kind: str, jobs: int, tools: list[str]) -> Run:
    """Run ``turnkey`` over the inputs; CPU seconds are those of all processes that it waited for or that they did."""
    words = ["-i", *map(str, paths), "-d", str(cache), "--process-isolation", "--jobs", str(jobs), "--json"]
    words += ["--fresh"] if kind == "fresh" else []
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
        if result["status"] != "successful":
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


def show(kind: str, exporter: str, run: Run, inputs: int) -> None:
    against = ""
    if inputs == PUBLISHED["inputs"]:
        against = (
            f"{PUBLISHED['cpu'] / run.cpu:.1f} times less CPU, {PUBLISHED['wall'] / run.wall:.1f} times less time"
        )
    statuses = ", ".join(f"{count} {status}" for status, count in run.statuses.items())
    print(
        f"{kind:<11} {exporter:<12} {run.wall:8.1f} {run.cpu:8.1f} {run.wall / inputs:8.2f}"
        f" {run.worker_bytes / 2**20:11.0f}  {against} ({statuses})",
        flush=True,
    )


def architectures(options: argparse.Namespace, folder: Path) -> int:
    """Real architectures with random weights: every one has a result, whatever it is."""
    import timm

    names = timm.list_models()
    step = max(1, len(names) // options.architectures)
    scripts = folder / "scripts"
    scripts.mkdir()
    paths = []
    for name in names[::step][: options.architectures]:
        path = scripts / f"{name.replace('.', '_')}.py"
        path.write_text(
            f"#labels family::{name.partition('_')[0]}\n"
            "import timm, torch\n"
            f"model = timm.create_model({name!r}, pretrained=False).eval()\n"
            "size = model.default_cfg.get('input_size', (3, 224, 224))\n"
            "with torch.no_grad():\n    model(torch.rand(1, *size))\n"
        )
        paths.append(path)
    run = command(paths, folder / "cache", "prewarmed", options.jobs, ["discover"])
    show("prewarmed", "none", run, len(paths))
    lost = len(paths) - sum(run.statuses.values())
    print(f"{lost} results lost")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
