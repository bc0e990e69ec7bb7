"""Repeats of one `optimize`: does it pick the same winner, or report a tie, every time?

    python benchmarks/optimize_repeats.py --directory repeats
    python benchmarks/optimize_repeats.py --directory repeats --repeats 10 --threads 1

Every repeat is a whole run in a workspace of its own, without the cache of conversions. ``repeats.jsonl`` in the
directory keeps one line per finished repeat, and an unfinished one goes on in its workspace: a program that was killed
is started again with the same words. Printed: the winner of each repeat by each strategy with those that it reports as
tied, and whether all repeats agree.

Repeats agree if they have the same winner, or if every winner that differs is tied with it: the winner of each repeat
is among the winner and the ties of some one other outcome. The exit code is 1 where they do not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

os.environ["TURNKEY_CONVERSION_CACHE"] = "0"  # a repeat that takes its files from an earlier one would be none
sys.path.insert(0, str(Path(__file__).parent))

from optimize_vs_navigator import described, ours

import turnkey.navigator as nav

STRATEGIES = {
    "default": None,
    "min latency": nav.MinLatencyStrategy(),
    "max throughput": nav.MaxThroughputStrategy(),
}


def outcomes(package: nav.Package) -> dict[str, list[str]]:
    """By strategy: the winner, then those that it reports as tied."""
    found = {}
    for name, strategy in STRATEGIES.items():
        best = package.get_best_runtime(strategy)
        found[name] = [f"{best.model_key} @ {best.runner_name}", *best.ties]
    return found


def agree(repeats: list[list[str]]) -> bool:
    """Whether one runtime is the winner of every repeat, or tied with it."""
    return bool(set.intersection(*(set(each) for each in repeats)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--directory", type=Path, default=Path("optimize-repeats"), help="of workspaces and results")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[1, 8])
    parser.add_argument("--threads", type=int, help="of every runner; by default the cores at hand")
    arguments = parser.parse_args()
    arguments.directory.mkdir(parents=True, exist_ok=True)
    results = arguments.directory / "repeats.jsonl"
    done: list[dict[str, Any]] = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    while len(done) < arguments.repeats:
        started = time.perf_counter()
        workspace = arguments.directory / f"repeat-{len(done) + 1}"
        _, package = ours(arguments.batch_sizes, arguments.threads, workspace)
        line = {"seconds": round(time.perf_counter() - started, 1), "outcomes": outcomes(package)}
        with results.open("a") as file:
            file.write(json.dumps(line) + "\n")
        done.append(line)
        print(f"repeat {len(done)}: {line['seconds']} s; {described(package)}", flush=True)
    code = 0
    for name in STRATEGIES:
        repeats = [each["outcomes"][name] for each in done]
        winners = ", ".join(
            f"{winner} {count}" for winner, count in Counter(each[0] for each in repeats).most_common()
        )
        ties = sum(len(each) > 1 for each in repeats)
        verdict = "the same or tied" if agree(repeats) else "NOT the same"
        print(f"{name}: {len(done)} repeats picked {winners}; {ties} report a tie; {verdict}")
        code |= not agree(repeats)
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
