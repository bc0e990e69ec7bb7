"""Cost of the engine's timed loop over a bare loop around the same call, in the same process.

    python benchmarks/loop_overhead.py

Slices of both loops alternate, so that the host's drift hits both. Printed: p50 of each and the ratio with its
interval over repetitions; the target is a ratio of at most 1.02 for a call of 10 µs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from turnkey.measure import statistics
from turnkey.measure.bench import Bench
from turnkey.measure.numpy_target import NumpyTarget
from turnkey.measure.schedule import slice_size


def bare(run: Callable[[Any], Any], item: Any, count: int) -> list[int]:
    """What one would write by hand."""
    times = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        run(item)
        times.append(time.perf_counter_ns() - begin)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--microseconds", type=float, default=10.0, help="about how long a call takes")
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    target = NumpyTarget(kernels=4, size=max(8, int(arguments.microseconds * 25)))
    bench = Bench(lambda: target, same_input=True)
    call_ns = bench.load().call_ns
    bench.warm(call_ns=call_ns, n_warm=1000, freeze=False)
    item = target.prepare(target.samples()[0])
    size = slice_size(float(np.median(bare(target.run, item, 2000))))
    ratios, by_hand, by_engine = [], [], []
    for _ in range(arguments.repetitions):
        plain: list[int] = []
        engine: list[float] = []
        for _ in range(20):
            plain += bare(target.run, item, 200)
            engine += [ns / size.inner for ns in bench.slice(entries=200 // size.inner, inner=size.inner).ns]
        by_hand.append(float(np.median(plain)))
        by_engine.append(float(np.median(engine)))
        ratios.append(float(np.log(by_engine[-1] / by_hand[-1])))
    found = statistics.t_interval(ratios, level=0.05).exp()
    print(f"bare loop   p50 {np.median(by_hand) / 1000:8.3f} µs")
    print(f"engine loop p50 {np.median(by_engine) / 1000:8.3f} µs   (inner loops of {size.inner})")
    print(f"ratio {found.mean:.4f} [{found.low:.4f}, {found.high:.4f}]   target <= 1.02")


if __name__ == "__main__":
    main()
