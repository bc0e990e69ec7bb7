"""What discovery costs: CPU time of a script under ``discover`` over plain ``python script.py``, as ratios.

    python benchmarks/discovery_overhead.py [--rounds 5] [--case direct]

Each case is a script that measures its own work with `time.process_time_ns`, after imports. Both ways run in fresh
processes, in turns, one thread each; a ratio compares the quickest repetition of each, since all that a shared host
does to a repetition is to slow it down. The fixed start (imports of ours, the observer, the listing, one forward pass
per listed invocation) is shown apart: the median difference of the processes' CPU seconds, without the work.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_HEAD = """
import sys, time
import torch
from torch import nn
torch.set_num_threads(1)
"""

_TAIL = """
for _ in range({warmup}): work()
spans = []
for _ in range({repeats}):
    start = time.process_time_ns()
    work()
    spans.append(time.process_time_ns() - start)
open(sys.argv[1], "w").write(str(min(spans)))
"""

_TRANSFORMER = """
lib = torch.library.Library("torchvision", "FRAGMENT")  # lets a torchvision that does not fit this torch import
for schema in ("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
               "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"):
    try: lib.define(schema)
    except RuntimeError: pass
from transformers import BertConfig, BertModel
net = BertModel(BertConfig(hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024)).eval()
ids = torch.ones(1, 64, dtype=torch.int64)
def work():
    with torch.no_grad():
        for _ in range(5): net(ids)
"""

_PYTHON_HEAVY = """
net = nn.Linear(4, 4); net(torch.ones(1, 4))
def step(value, scale):
    local = {"a": value}
    return local["a"] * scale + 1
def work():
    value = 1
    for _ in range(200_000): value = step(value, 3) % 1009
"""

_NESTED = """
class Deep(nn.Module):
    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(4, 4) for _ in range(100))
    def forward(self, x):
        for part in self.parts: x = part(x)
        return x
net = Deep(); x = torch.ones(1, 4)
def work():
    for _ in range(100): net(x)
"""

_DIRECT = """
net = nn.Linear(4, 4); x = torch.ones(1, 4)
def work():
    for _ in range(10_000): net(x)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One script; ``target`` is the highest ratio that is good enough."""

    name: str
    body: str
    target: float
    warmup: int = 1
    repeats: int = 5


CASES = (
    Case(name="transformers script (BERT, 4 layers)", body=_TRANSFORMER, target=1.05),
    Case(name="Python-heavy code (200,000 calls)", body=_PYTHON_HEAVY, target=1.05),
    Case(name="10,000 nested module calls", body=_NESTED, target=1.15),
    Case(name="10,000 direct calls of a tiny module", body=_DIRECT, target=1.5),
)


def main() -> int:
    """Print one line per case; exit code 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--case", default="", help="only cases whose name contains this")
    arguments = parser.parse_args()
    rounds: int = arguments.rounds
    missed = 0
    print(f"{'case':<40}{'plain ms':>10}{'ratio':>8}{'target':>8}   fixed start s (CPU)")
    with tempfile.TemporaryDirectory() as directory:
        for case in (case for case in CASES if arguments.case in case.name):
            path = Path(directory) / "script.py"
            path.write_text(_HEAD + case.body + _TAIL.format(warmup=case.warmup, repeats=case.repeats))
            plain, observed, starts = [], [], []
            for _ in range(rounds):
                first = _run([sys.executable, str(path)], path)
                second = _run([sys.executable, "-c", _DISCOVER, str(path)], path)
                plain.append(first.work_ns)
                observed.append(second.work_ns)
                starts.append(second.total_s - first.total_s)
            ratio = min(observed) / min(plain)
            repetitions = case.warmup + case.repeats
            fixed = statistics.median(starts) - (min(observed) - min(plain)) / 1e9 * repetitions
            missed += ratio > case.target
            print(f"{case.name:<40}{min(plain) / 1e6:>10.1f}{ratio:>8.3f}{case.target:>8.2f}   {fixed:.2f}")
    return 1 if missed else 0


_DISCOVER = """
import sys, turnkey
turnkey.discover(sys.argv[1], script_args=sys.argv[1] + ".ns")
"""


@dataclass(frozen=True, slots=True)
class _Spent:
    work_ns: int
    total_s: float


def _run(command: list[str], path: Path) -> _Spent:
    result = Path(f"{path}.ns")
    arguments = [*command] if "-c" in command else [*command, str(result)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    subprocess.run(arguments, check=True, env=environment, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    total_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Spent(int(result.read_text()), total_s)


if __name__ == "__main__":
    raise SystemExit(main())
