"""Is the engine right on this machine, and what would other rules have said? Real models on real runtimes.

    python benchmarks/noise.py --records noise-quiet
    python benchmarks/noise.py --records noise-loaded --load

Equal things are compared with each other, then with a planted slow-down of 5 % (a chain of 21 layers against 20); the
runtimes take turns. ``--load`` keeps one core busy meanwhile. Beside the verdicts stand three common rules on
sequential calls of two processes: the Navigator's windows, the mean of 100 and the median of 100; they "claim" a
difference above 3 %. With ``--records`` every comparison is kept there, and the same command goes on after a stop.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.measure import Record, Settings, TargetDescription, Windows, run_experiment, windows
from turnkey.measure.acceptance import accept
from turnkey.measure.process import ProcessWorkers

LAYERS = 20
WIDTH = 256
BATCH = 64
SEQUENTIAL_CALLS = 500
CLAIM = 0.03
RUNTIMES = ("onnxruntime", "torch")


class ChainTarget:
    """A chain of matrix products and hyperbolic tangents; every layer costs the same."""

    def __init__(self, *, runtime: str, layers: int, threads: int) -> None:
        self._runtime = runtime
        self._threads = threads
        generator = np.random.Generator(np.random.PCG64(0))
        self._weights = [
            (generator.standard_normal((WIDTH, WIDTH)) / np.sqrt(WIDTH)).astype(np.float32) for _ in range(layers)
        ]

    def load(self) -> None:
        if self._runtime == "onnxruntime":
            self._load_onnxruntime()
        else:
            self._load_torch()

    def _load_onnxruntime(self) -> None:
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper

        nodes, name = [], "x"
        for i in range(len(self._weights)):
            nodes.append(helper.make_node("MatMul", [name, f"w{i}"], [f"m{i}"]))
            nodes.append(helper.make_node("Tanh", [f"m{i}"], [f"t{i}"]))
            name = f"t{i}"
        shape = [BATCH, WIDTH]
        graph = helper.make_graph(
            nodes,
            "chain",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)],
            [numpy_helper.from_array(weight, f"w{i}") for i, weight in enumerate(self._weights)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        self.run = lambda x: session.run(None, {"x": x})[0]

    def _load_torch(self) -> None:
        import torch

        torch.set_num_threads(self._threads)
        weights = [torch.from_numpy(weight) for weight in self._weights]

        @torch.inference_mode()
        def run(x: Any) -> Any:
            value = torch.from_numpy(x)
            for weight in weights:
                value = torch.tanh(value @ weight)
            return value.numpy()

        self.run = run

    def compile(self) -> bool:
        return False

    def samples(self) -> list[dict[str, np.ndarray]]:
        generator = np.random.Generator(np.random.PCG64(1))
        return [{"x": generator.standard_normal((BATCH, WIDTH)).astype(np.float32)} for _ in range(8)]

    def check(self, index: int, outputs: Mapping[str, np.ndarray]) -> str | None:
        value = self.samples()[index]["x"]
        for weight in self._weights:
            value = np.tanh(value @ weight)
        error = float(np.abs(value - outputs["y"]).max())
        return None if error < 1e-3 else f"max abs error {error:.2g}"

    def prepare(self, sample: Mapping[str, np.ndarray]) -> Any:
        return sample["x"]

    def outputs(self, result: Any) -> dict[str, np.ndarray]:
        return {"y": result}

    def describe(self) -> Mapping[str, Any]:
        return {"runtime": self._runtime, "layers": len(self._weights)}

    def close(self) -> None:
        return None


def load_chain(*, threads: int, runtime: str, layers: int) -> ChainTarget:
    """Factory for the worker processes."""
    __import__(runtime)
    return ChainTarget(runtime=runtime, layers=layers, threads=threads)


def description(runtime: str, key: str, layers: int) -> TargetDescription:
    return TargetDescription(
        key=key,
        factory="noise:load_chain",
        arguments={"runtime": runtime, "layers": layers},
        environment={"PYTHONPATH": str(Path(__file__).parent)},
        facts={"runtime": runtime},
    )


def sequential(target: TargetDescription, logs: Path, number: int) -> list[float]:
    """What one would do by hand: one process, warmed up, so many calls one after another; nanoseconds."""
    worker = ProcessWorkers(logs, step_timeout_s=600)(target, name=target.key, round_=number, threads=1, pad=0)
    try:
        worker.arrive()
        loaded = worker.load()
        worker.warm(call_ns=loaded.call_ns, n_warm=60)
        return [float(value) for value in worker.slice(entries=SEQUENTIAL_CALLS, inner=1).ns]
    finally:
        worker.kill()


def rules(first: Sequence[float], second: Sequence[float]) -> dict[str, float]:
    """Ratio second/first as each rule sees it."""
    window = [windows.stability(times, Windows()) for times in (first, second)]
    means = [np.mean(found.last_means_ms) for found in window]
    return {
        "windows": float(means[1] / means[0]),
        "mean of 100": float(np.mean(second[:100]) / np.mean(first[:100])),
        "median of 100": float(np.median(second[:100]) / np.median(first[:100])),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES), help="in turn")
    parser.add_argument("--comparisons", type=int, default=40, help="of equal things")
    parser.add_argument("--planted", type=int, help="comparisons with the planted slow-down; as many unless given")
    parser.add_argument("--effort", choices=("standard", "rigorous"), default="standard")
    parser.add_argument("--load", action="store_true", help="another process keeps one core busy")
    parser.add_argument("--records", type=Path, help="directory of the records; a stopped run goes on from there")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments, arguments.records or Path(scratch))


def pair_of(runtime: str, more_layers: int) -> tuple[TargetDescription, TargetDescription]:
    """The reference and its copy, which has so many layers more."""
    return description(runtime, "twenty", LAYERS), description(runtime, "other", LAYERS + more_layers)


def compare(arguments: argparse.Namespace, records: Path) -> None:
    records.mkdir(parents=True, exist_ok=True)
    by_rule: dict[str, list[float]] = {}

    def measure(pair: Sequence[TargetDescription], *, reference: str, settings: Settings) -> Record:
        more_layers = pair[1].arguments["layers"] - LAYERS
        kind = "planted" if more_layers else "equal"
        pair = pair_of(arguments.runtimes[settings.seed % len(arguments.runtimes)], more_layers)
        path = records / f"{kind}-{settings.seed:03}.zip"
        said = path.with_suffix(".json")
        if not said.exists():
            with tempfile.TemporaryDirectory() as logs:
                times = [sequential(target, Path(logs), settings.seed) for target in pair]
            said.write_text(json.dumps(rules(*times)), encoding="utf-8")
        for rule, ratio in json.loads(said.read_text(encoding="utf-8")).items():
            by_rule.setdefault(f"{kind} {rule}", []).append(ratio)
        if path.exists():
            return Record.load(path)
        return run_experiment(pair, reference=reference, settings=settings, path=path)

    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if arguments.load else None
    try:
        found = accept(
            comparisons=arguments.comparisons,
            planted_comparisons=arguments.planted,
            settings=Settings(effort=arguments.effort, threads=1),
            equal=pair_of(arguments.runtimes[0], 0),
            planted=pair_of(arguments.runtimes[0], 1),
            tell=lambda text: print(text, flush=True),
            measure=measure,
        )
    finally:
        if busy is not None:
            busy.kill()
            busy.wait()
    print("\n" + "\n".join(found.lines()))
    print(f"\nother rules on {SEQUENTIAL_CALLS} sequential calls of each; a claim is a difference above {CLAIM:.0%}")
    print(f"{'':<22} {'claims':>8} {'slower':>8} {'faster':>8} {'median':>8} {'|error| p95':>12}")
    for rule, ratios in by_rule.items():
        values, truth = np.array(ratios), 1.05 if rule.startswith("planted") else 1.0
        slower, faster = (values > 1 + CLAIM).mean(), (values < 1 - CLAIM).mean()
        error = np.quantile(np.abs(values / truth - 1), 0.95)
        row = f"{slower + faster:8.0%} {slower:8.0%} {faster:8.0%} {np.median(values):8.3f} {error:12.1%}"
        print(f"{rule:<22} {row}")


if __name__ == "__main__":
    main()
