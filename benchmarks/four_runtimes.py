"""How long a comparison of four runtimes takes, and where its time goes.

    python benchmarks/four_runtimes.py
    python benchmarks/four_runtimes.py --runtimes torch onnxruntime --effort rigorous

One small convolutional network of a script is exported, verified and measured twice: first quickly, so that compile
caches are filled as they are on the second use of a model, then with the effort asked for. Printed: the tables of the
result, and what the processes of the experiment spent their time on, from its record. The target is 120 s of wall time
for four runtimes on two cores (exit code 1 where it is missed).
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import turnkey
from turnkey.measure import Record
from turnkey.tools.benchmark_table import benchmark_table, details_table

TARGET_S = 120.0
RUNTIMES = ("torch", "torch-compile", "onnxruntime")
SCRIPT = """
import torch

torch.manual_seed(0)
layers, width = [], 3
for out in (16, 32, 64, 64):
    layers += [torch.nn.Conv2d(width, out, 3, stride=2, padding=1), torch.nn.BatchNorm2d(out), torch.nn.ReLU()]
    width = out
net = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10)).eval()
for _ in range(8):
    net(torch.randn(1, 3, 96, 96))
"""


def measured(script: Path, cache: Path, runtimes: list[str], effort: str) -> tuple[float, Record]:
    """Seconds that the benchmark took, and its record."""
    steps = ["discover", "export-pytorch", "verify", ("benchmark", {"runtimes": runtimes, "effort": effort})]
    begin = time.monotonic()
    [result] = turnkey.evaluate_files([str(script)], turnkey.Sequence(steps), cache_dir=str(cache))
    took = time.monotonic() - begin
    state = result.state
    if state is None or not state.measurements:
        raise SystemExit(f"it could not be measured: {result}")
    record = Record.load(state.build_dir / str(state.measurements[-1]["record"]))
    return float(state.statistics.get("tool_duration:benchmark", took)), record


def spent(record: Record) -> Counter[str]:
    """Seconds by what processes did, summed over all of them; imports overlap, the rest does not."""
    seconds: Counter[str] = Counter()
    rounds = [process for entry in record.run["rounds"] for process in entry["processes"]]
    for process in rounds:
        for step in ("import", "load", "compile", "first", "warm"):
            seconds[step] += (process.get(f"{step}_ns") or 0) / 1e9
    for process in record.run["calibration"]:
        for step in ("import", "load", "compile", "first"):
            seconds[step] += (process.get(f"{step}_ns") or 0) / 1e9
        seconds["calibration calls"] += (process.get("warm_ns") or 0) / 1e9
    seconds["passes"] = sum(span["seconds"] for entry in record.run["rounds"] for span in entry["spans"])
    return seconds


def main() -> int:
    """Print the comparison and its cost; 1 where the target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    installed = [*RUNTIMES, *(["openvino"] if find_spec("openvino") else [])]
    parser.add_argument("--runtimes", nargs="+", default=installed, help="openvino among them if it is installed")
    parser.add_argument("--effort", default="standard", choices=("quick", "standard", "rigorous"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "cnn.py"
        script.write_text(SCRIPT, encoding="utf-8")
        cache = Path(scratch) / "cache"
        measured(script, cache, arguments.runtimes, "quick")
        took, record = measured(script, cache, arguments.runtimes, arguments.effort)
    print(f"\n{benchmark_table(record, batch=1, size_bytes={})}\n\n{details_table(record)}\n{record.sentence()}")
    starts = len(record.run["calibration"]) + sum(len(entry["processes"]) for entry in record.run["rounds"])
    print(f"\n{len(record.run['rounds'])} rounds, {starts} processes, {record.run['wall_s']:.0f} s in the experiment")
    for step, seconds in spent(record).most_common():
        print(f"  {step:<18} {seconds:7.1f} s")
    missed = took > TARGET_S
    print(f"the benchmark took {took:.0f} s   target <= {TARGET_S:.0f} s: {'MISSED' if missed else 'reached'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
