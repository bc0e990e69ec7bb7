"""Cost of the engine's timed loop over a bare ``session.run`` loop, on one ONNX Runtime session of this process.

    python benchmarks/loop_overhead.py

The model is a chain of small operators, as long as a call of about 10 µs needs. Slices of both loops alternate, so
that the host's drift hits both. Printed: p50 of each loop and the ratio with its interval over repetitions; the
target is a ratio of at most 1.02 for the loop that the engine uses here (exit code 1 where it is missed). The last
line is the loop with one clock reading per call, which it uses for calls above 20 µs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from turnkey.measure import statistics
from turnkey.measure.bench import Bench, timed_calls
from turnkey.measure.schedule import slice_size
from turnkey.model.samples import SampleSet, write_samples
from turnkey.runtimes.target import ModelTarget, load_target

TARGET = 1.02
_WIDTH = 16
_BLOCK_CALLS = 200


def chain(nodes: int) -> onnx.ModelProto:
    """``nodes`` sines in a row."""
    body = "\n".join(f"v{i + 1} = Sin (v{i})" for i in range(nodes))
    text = (
        f'<ir_version: 10, opset_import: ["" : 20]> g (float[{_WIDTH}] v0) => (float[{_WIDTH}] v{nodes}) {{ {body} }}'
    )
    return onnx.parser.parse_model(text)


def loaded_target(directory: Path, nodes: int) -> ModelTarget:
    """The engine's own target over a chain, as a worker makes it."""
    path = directory / "chain.onnx"
    onnx.save(chain(nodes), path)
    values = {"v0": np.linspace(0, 1, _WIDTH, dtype=np.float32)}
    write_samples(SampleSet(structure=None, inputs=(values,), outputs=(None,), seed=0), directory / "samples")
    return load_target(threads=1, runtime="onnxruntime", samples=str(directory / "samples"), path=str(path))


def bare(session: Any, feed: dict[str, np.ndarray], count: int) -> list[int]:
    """What one would write by hand."""
    names = [output.name for output in session.get_outputs()]
    times = []
    for _ in range(count):
        begin = time.perf_counter_ns()
        session.run(names, feed)
        times.append(time.perf_counter_ns() - begin)
    return times


def one_by_one(run: Callable[[Any], Any], feed: Any) -> list[int]:
    """The engine's loop for calls above 20 µs."""
    storage = [0] * _BLOCK_CALLS
    timed_calls(run, [feed] * _BLOCK_CALLS, storage)
    return storage


def prepared_bench(directory: Path, microseconds: float) -> tuple[Bench, ModelTarget]:
    """A bench over a chain whose call takes about so long."""
    nodes = 1
    while True:
        target = loaded_target(directory, nodes)
        bench = Bench(lambda target=target: target, same_input=True)
        bench.arrive()
        bench.warm(call_ns=bench.load().call_ns, n_warm=1000, freeze=False)
        call_ns = float(np.median(one_by_one(target.run, target.prepare(target.samples()[0]))))
        if call_ns >= microseconds * 1000 or nodes >= 1024:
            return bench, target
        nodes = max(nodes + 1, int(nodes * 1.3))


def compared(
    loops: dict[str, Callable[[], list[float]]], repetitions: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Per loop: medians by repetition, and log ratios to the loop ``bare`` of the same repetition."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in loops}
    for _ in range(repetitions):
        times: dict[str, list[float]] = {name: [] for name in loops}
        for _ in range(20):
            for name, loop in loops.items():
                times[name] += loop()
        medians = {name: float(np.median(values)) for name, values in times.items()}
        for name, (mine, ratios) in found.items():
            mine.append(medians[name])
            ratios.append(float(np.log(medians[name] / medians["bare"])))
    return found


def main() -> int:
    """Print the comparison; 1 where the loop that the engine uses for such calls misses the target."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--microseconds", type=float, default=10.0, help="about how long a call takes")
    parser.add_argument("--repetitions", type=int, default=15)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bench, target = prepared_bench(Path(scratch), arguments.microseconds)
        feed = target.prepare(target.samples()[0])
        session = target.run.func.__self__  # the session under the runner: the bare loop calls nothing else
        size = slice_size(float(np.median(bare(session, feed, 5000))))
        entries = max(1, _BLOCK_CALLS // size.inner)
        loops: dict[str, Callable[[], list[float]]] = {
            "bare": lambda: [float(ns) for ns in bare(session, feed, _BLOCK_CALLS)],
            f"engine (inner loops of {size.inner})": lambda: [
                ns / size.inner for ns in bench.slice(entries=entries, inner=size.inner).ns
            ],
            "engine, one by one": lambda: [float(ns) for ns in one_by_one(target.run, feed)],
        }
        used, missed = list(loops)[1], False
        for name, (medians, ratios) in compared(loops, arguments.repetitions).items():
            line = f"{name:<28} p50 {np.median(medians) / 1000:8.3f} µs"
            if name != "bare":
                ratio = statistics.t_interval(ratios, level=0.05).exp()
                line += f"   ratio {ratio.mean:.4f} [{ratio.low:.4f}, {ratio.high:.4f}]"
                if name == used:
                    missed = ratio.mean > TARGET
                    line += f"   target <= {TARGET}: {'MISSED' if missed else 'reached'}"
            print(line)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
