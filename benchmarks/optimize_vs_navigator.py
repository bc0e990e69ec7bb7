"""Wall time of the whole `optimize`, and its winner, beside Triton Model Navigator where that is installed.

    python benchmarks/optimize_vs_navigator.py
    python benchmarks/optimize_vs_navigator.py --batch-sizes 1

The same small CNN, the same targets (torch, torchscript, onnx on the processor), the same windows (count windows of 50
requests, 10 %, at most 10 trials). Printed: wall time, and the winner's latency with its interval, the calls that it
rests on, and the differences to the source model. Where the original is installed (it needs TensorRT, CUDA libraries
and an older numpy), the target is half of its wall time at equal or better statistics, else the exit code is 1.

Elsewhere there is no figure of the original for this model and host. What is known of it is that each of its commands
runs in a child process that imports everything again, 3 to 8 s each (measured on its last release, 0.14): the sum over
the commands of this call is printed as a lower bound by calculation, not as a measurement of the original.

`optimize_repeats.py` repeats the run and compares winners.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

os.environ["TURNKEY_CONVERSION_CACHE"] = "0"  # a whole run makes everything

import turnkey
import turnkey.navigator as nav

TARGET_RATIO = 0.5
TARGETS = ["torch", "torchscript", "onnx"]
RUNNERS = ["TorchCPU", "TorchScriptCPU", "OnnxCPU"]
COMMANDS = 2 + 2 * len(RUNNERS)
"""Of this call in the original: an export of each format, then correctness and performance of each runner."""
CHILD_SECONDS = (3, 8)
"""Of each, for the imports alone."""


class SmallCNN(torch.nn.Module):  # type: ignore[misc]
    """Four convolutions and a classifier, 64 kB of weights."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[torch.nn.Module] = []
        width = 3
        for out in (16, 32, 64, 64):
            layers += [torch.nn.Conv2d(width, out, 3, stride=2, padding=1), torch.nn.BatchNorm2d(out), torch.nn.ReLU()]
            width = out
        self.features = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1))
        self.classifier = torch.nn.Linear(64, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.features(image).flatten(1))


def samples() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(2, 3, 64, 64, generator=generator) for _ in range(8)]


def ours(batch_sizes: list[int] | None, threads: int | None, workspace: Path) -> tuple[float, nav.Package]:
    """Seconds and the package of one whole run."""
    torch.manual_seed(0)
    model, data = SmallCNN().eval(), samples()
    began = time.perf_counter()
    package = turnkey.optimize(
        model,
        data,
        target_formats=TARGETS,
        runners=RUNNERS,
        custom_configs=[nav.TorchScriptConfig(jit_type="trace", strict=False)],
        profiler_config=nav.ProfilerConfig(batch_sizes=list(batch_sizes) if batch_sizes else None),
        target_device="cpu",
        workspace=workspace,
        threads=threads,
    )
    return time.perf_counter() - began, package


def theirs(batch_sizes: list[int] | None, workspace: Path) -> tuple[float, Any]:
    """The same with the original, where it is installed."""
    import model_navigator

    torch.manual_seed(0)
    model, data = SmallCNN().eval(), samples()
    began = time.perf_counter()
    package = model_navigator.torch.optimize(
        model=model,
        dataloader=data,
        target_formats=tuple(TARGETS),
        runners=tuple(RUNNERS),
        target_device=model_navigator.DeviceKind.CPU,
        workspace=workspace,
    )
    return time.perf_counter() - began, package


def described(package: nav.Package) -> str:
    """The winner by latency, with what its figure rests on."""
    best = package.get_best_runtime(nav.MinLatencyStrategy())
    rung = min(best.runner_status.rungs, key=lambda each: each.p50_latency)
    latency = rung.ci_center or rung.p50_latency
    interval = "" if rung.ci_low is None or rung.ci_high is None else f" [{rung.ci_low:.4g}, {rung.ci_high:.4g}]"
    worst = max((each.atol or 0.0 for each in best.runner_status.tolerances), default=0.0)
    ties = f", tied with {', '.join(best.ties)}" if best.ties else ""
    return (
        f"{best.model_key} @ {best.runner_name}: {latency:.4g} ms{interval} at batch {rung.batch_size}, "
        f"{rung.request_count} calls, {rung.validity}; verified, largest difference {worst:.2g}{ties}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", help="by default the automatic ladder")
    parser.add_argument("--threads", type=int, help="of every runner; by default the cores at hand")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="optimize-") as scratch:
        seconds, package = ours(arguments.batch_sizes, arguments.threads, Path(scratch) / "ours")
        print(f"turnkey: {seconds:.1f} s; {described(package)}", flush=True)
        print(package.summary(), flush=True)
    if importlib.util.find_spec("model_navigator") is None:
        least, most = (COMMANDS * each for each in CHILD_SECONDS)
        print("triton-model-navigator is not installed here: its wall time is not measured")
        print(
            f"by calculation: its {COMMANDS} child processes take {least} to {most} s to start alone; turnkey's whole "
            f"run is {seconds / least:.2f} to {seconds / most:.2f} of that (target: {TARGET_RATIO} of its whole run)"
        )
        return 0
    with tempfile.TemporaryDirectory(prefix="original-") as scratch:
        took, _ = theirs(arguments.batch_sizes, Path(scratch) / "theirs")
    ratio = seconds / took
    print(f"model_navigator: {took:.1f} s; ratio {ratio:.2f}, target {TARGET_RATIO}")
    return 0 if ratio <= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
