"""CPU time of ``turnkey --help`` and ``turnkey version`` over a bare interpreter.

Whole processes, user and system time of the child, in rounds that interleave the commands. The difference is paired
within a round; its interval is of the median over rounds (order statistics, 95 %).

    python benchmarks/startup.py [--rounds 40] [--json FILE]

Target: less than 100 ms beyond the bare interpreter.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.measure.statistics import order_interval, quantile

TURNKEY = str(Path(sys.executable).with_name("turnkey"))
COMMANDS = {
    "interpreter": [sys.executable, "-c", "pass"],
    "version": [TURNKEY, "version"],
    "--help": [TURNKEY, "--help"],
    "discover --help": [TURNKEY, "discover", "--help"],
}
TARGET_MS = 100.0


def cpu_ms(command: list[str]) -> float:
    """User and system time of one run, milliseconds."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        process = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 1)])
        _, status, usage = os.wait4(process, 0)
    finally:
        os.close(nothing)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with status {status}")
    return (usage.ru_utime + usage.ru_stime) * 1000


def measure(rounds: int) -> dict[str, Any]:
    """Medians, and paired differences to the interpreter, milliseconds."""
    for command in COMMANDS.values():  # once unseen: byte code and file cache
        cpu_ms(command)
    generator = np.random.default_rng(0)
    names = list(COMMANDS)
    times: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        for index in generator.permutation(len(names)):
            times[names[index]].append(cpu_ms(COMMANDS[names[index]]))
    base = np.array(times["interpreter"])
    found: dict[str, Any] = {"interpreter_ms": quantile(base, 0.5), "rounds": rounds, "commands": {}}
    for name in names[1:]:
        extra = order_interval(np.array(times[name]) - base, 0.5, level=0.05)
        found["commands"][name] = {
            "cpu_ms": quantile(np.array(times[name]), 0.5),
            "extra_ms": extra.mean,
            "extra_low_ms": extra.low,
            "extra_high_ms": extra.high,
            "is_within_target": extra.high < TARGET_MS,
        }
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description="CPU time of turnkey's start over a bare interpreter")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = measure(arguments.rounds)
    print(f"bare interpreter: {found['interpreter_ms']:.1f} ms CPU")
    for name, row in found["commands"].items():
        interval = f"[{row['extra_low_ms']:.1f}, {row['extra_high_ms']:.1f}]"
        verdict = "within" if row["is_within_target"] else "BEYOND"
        print(f"turnkey {name}: +{row['extra_ms']:.1f} {interval} ms CPU, {verdict} the target of {TARGET_MS:.0f} ms")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row["is_within_target"] for row in found["commands"].values()) else 1


if __name__ == "__main__":
    sys.exit(main())
