"""Is our C as fast as ONNX Runtime on small networks? Nine networks, one thread, verdicts with intervals.

    python benchmarks/mlf_speed.py                                   # all of it; half an hour
    python benchmarks/mlf_speed.py --networks resnet8 gru --effort quick
    python benchmarks/mlf_speed.py --int8                            # the networks quantised to 8 bits (QDQ)
    python benchmarks/mlf_speed.py --records DIRECTORY               # a stopped run goes on from there

Per network one experiment of the measuring engine: our tarball, ONNX Runtime, and what emx-onnx-cgen makes of the
whole model by itself, compiled with the same flags. Ratios are times over ONNX Runtime's: below 1 our C is faster.
The interval of the geometric mean is the geometric mean of the bounds, which covers where each interval covers.

A second experiment per network times its convolution kernels, called from C one at a time, between a loop that does
nothing but multiply-adds: operations per second over all of them, and as a share of that peak.

The exit code is 0 where the geometric mean of the ratios is at most 1.0 and no network's ratio is above 1.5.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import mlf_whole_model
import onnx
from mlf_small_networks import SMALL_NETWORKS
from mlf_targets import comparison, drawn_inputs
from peak_flops import PeakLoop

import turnkey.mlf as mlf
from turnkey import host
from turnkey.formats.onnx_int8 import Int8StaticSettings
from turnkey.formats.onnx_quantization import quantize_static_file
from turnkey.measure import Record, Settings, run_experiment, run_in_process
from turnkey.mlf.kernel_loop import KernelLoop, repeats_for
from turnkey.mlf.toolchain import find_compiler
from turnkey.runtimes.lookup import find_runtime
from turnkey.verify import precision_of

INT8 = "-int8"
MEAN_LIMIT, WORST_LIMIT = 1.0, 1.5


class Ratio(NamedTuple):
    """Time of our C over that of another, with the bounds of its interval."""

    value: float
    low: float
    high: float
    verdict: str

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


class Speed(NamedTuple):
    """What one network showed. Times in microseconds, sizes in bytes; None where the compiler does not tell."""

    name: str
    ours_us: float
    runtime_us: float
    ratio: Ratio
    over_generator: Ratio | None
    text: int | None
    rodata: int | None
    stack: int | None
    convolution_gflops: float | None
    peak_gflops: float | None


def network(name: str, directory: Path) -> onnx.ModelProto:
    """A network by name; with the ending ``-int8`` as our format onnx-int8-static writes it."""
    if not name.endswith(INT8):
        return SMALL_NETWORKS[name]()
    path, plain = directory / f"{name}-static.onnx", directory / f"{name}-plain.onnx"
    if not path.exists():
        model = SMALL_NETWORKS[name.removesuffix(INT8)]()
        onnx.save(model, plain)
        quantize_static_file(plain, path, Int8StaticSettings(), drawn_inputs(model, seed=2))
    return onnx.load(path)


def exported(name: str, directory: Path) -> mlf.Module:
    """The network's tarball, verified when it was made; an equal one of a stopped run is taken as it is."""
    path = directory / f"{name}.tar"
    if not path.exists():
        mlf.export(network(name, directory), path, name=name)
    return mlf.load(path).module()


def experiment(name: str, directory: Path, *, effort: str, generator: bool) -> Record:
    """Our C, ONNX Runtime and the generator's own C in one experiment; a finished record is read, not made again."""
    path = directory / f"{name}-{effort}{'' if generator else '-pair'}.zip"
    if path.exists():
        return Record.load(path)
    targets = comparison(name, network(name, directory), directory, precision=precision_of(name))
    if generator:
        flags = exported(name, directory).build().build.flags
        targets.append(mlf_whole_model.description(name, directory, flags=flags))
    settings = Settings(effort=effort, threads=1)
    return run_experiment(
        targets, reference="onnxruntime", settings=settings, path=path, listen=lambda text: print(f"  {text}")
    )


def ratio(record: Record, *, against: str) -> Ratio:
    """Of our C to another candidate.

    Raises:
        SystemExit: one of the two fails, or computes something else.
    """
    found = record.verdict("mlf", against=against)
    if found is None or any(record.summary(key).error for key in ("mlf", against)):
        raise SystemExit(f"it could not be measured: {record.sentence()}")
    marks = "" if found.is_valid else " INVALID"
    return Ratio(1 / found.ratio, 1 / found.high, 1 / found.low, f"{found.kind}{marks}")


def convolution_rate(module: mlf.Module, directory: Path) -> tuple[float, float] | None:
    """Operations per nanosecond of the convolution kernels and of the peak loop; None without convolutions."""
    graph = module.graph
    calls: dict[str, int] = {}
    for node in graph.nodes if graph else ():
        if "Conv(" in node.origin:
            calls[str(node.function)] = calls.get(str(node.function), 0) + 1
    macs = {entry["function_name"]: entry.get("macs", 0) for entry in module.metadata.turnkey["kernels"]}
    counted = {name: count for name, count in calls.items() if macs.get(name)}
    if not counted:
        return None
    repeats = {name: repeats_for(macs[name]) for name in counted}
    peak = PeakLoop(directory, flags=module.build().build.flags)
    loops = {name: KernelLoop(module, name, repeats=repeats[name]) for name in counted}
    record = run_in_process({"peak": peak, **loops}, settings=Settings(threads=1))
    times = {key: (record.summary(key).latency_ms or math.nan) * 1e6 for key in record.keys}
    spent = sum(count * times[name] / repeats[name] for name, count in counted.items())
    done = sum(2 * count * macs[name] for name, count in counted.items())
    return done / spent, peak.operations / times["peak"]


def measured(name: str, directory: Path, *, effort: str, generator: bool) -> Speed:
    """Everything about one network."""
    module = exported(name, directory)
    record = experiment(name, directory, effort=effort, generator=generator)
    kept = directory / f"{name}-convolutions.json"
    if not kept.exists():
        kept.write_text(json.dumps(convolution_rate(module, directory)), encoding="utf-8")
    rate = json.loads(kept.read_text(encoding="utf-8"))
    facts: Mapping[str, Any] = module.metadata.turnkey
    times = {key: (record.summary(key).latency_ms or math.nan) * 1000 for key in record.keys}
    return Speed(
        name=name,
        ours_us=times["mlf"],
        runtime_us=times["onnxruntime"],
        ratio=ratio(record, against="onnxruntime"),
        over_generator=ratio(record, against=mlf_whole_model.KEY) if generator else None,
        text=facts.get("sections", {}).get("text"),
        rodata=facts.get("sections", {}).get("rodata"),
        stack=facts.get("stack", {}).get("static_bytes"),
        convolution_gflops=rate[0] if rate else None,
        peak_gflops=rate[1] if rate else None,
    )


def geometric_mean(ratios: Sequence[Ratio]) -> Ratio:
    """Of estimates and of bounds each: an interval that covers where every interval covers."""
    return Ratio(*(statistics.geometric_mean([found[side] for found in ratios]) for side in range(3)), "")


def table(speeds: Sequence[Speed]) -> str:
    """One line per network."""
    heads = ("ours us", "ort us", "ratio to onnxruntime", "verdict", "ratio to generator", "GFLOP/s", "of peak")
    widths = (9, 9, 22, 12, 21, 8, 8)
    sizes = ("text", "rodata", "stack")
    lines = [
        f"{'':<18}"
        + "".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
        + "".join(f"{size:>12}" for size in sizes)
    ]
    for found in speeds:
        share = _share(found)
        cells = (
            f"{found.ours_us:.1f}",
            f"{found.runtime_us:.1f}",
            str(found.ratio),
            found.ratio.verdict,
            "–" if found.over_generator is None else _small(found.over_generator),
            "–" if found.convolution_gflops is None else f"{found.convolution_gflops:.1f}",
            "–" if share is None else f"{share:.0%}",
        )
        numbers = ("–" if size is None else f"{size:,}" for size in (found.text, found.rodata, found.stack))
        lines.append(
            f"{found.name:<18}"
            + "".join(f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
            + "".join(f"{number:>12}" for number in numbers)
        )
    return "\n".join(lines)


def _share(found: Speed) -> float | None:
    if found.convolution_gflops is None or found.peak_gflops is None:
        return None
    return found.convolution_gflops / found.peak_gflops


def _small(found: Ratio) -> str:
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", choices=SMALL_NETWORKS, default=list(SMALL_NETWORKS))
    parser.add_argument("--effort", choices=("quick", "standard", "rigorous"), default="standard")
    parser.add_argument("--int8", action="store_true", help="the networks quantised to 8 bits; without the generator")
    parser.add_argument("--no-generator", action="store_true", help="leave emx-onnx-cgen out")
    parser.add_argument("--records", type=Path, help="directory of tarballs and records")
    arguments = parser.parse_args()
    with_generator = not (arguments.no_generator or arguments.int8)
    find_runtime("onnxruntime")
    compiler = find_compiler()
    print(f"{compiler.name} {compiler.version}, {host.processor()}, one thread, effort {arguments.effort}")
    with tempfile.TemporaryDirectory() as scratch:
        directory = arguments.records or Path(scratch)
        directory.mkdir(parents=True, exist_ok=True)
        speeds = []
        for name in (f"{name}{INT8 if arguments.int8 else ''}" for name in arguments.networks):
            print(f"{name}", flush=True)
            speeds.append(measured(name, directory, effort=arguments.effort, generator=with_generator))
    mean = geometric_mean([found.ratio for found in speeds])
    worst = max(speeds, key=lambda found: found.ratio.value)
    print(f"\n{table(speeds)}")
    print(f"\ngeometric mean of {len(speeds)}: {mean}; worst: {worst.name} {worst.ratio}")
    if with_generator:
        others = [found.over_generator for found in speeds if found.over_generator is not None]
        print(f"against emx-onnx-cgen by itself: {_small(geometric_mean(others))}")
    peaks = [found.peak_gflops for found in speeds if found.peak_gflops is not None]
    if peaks:
        print(f"peak of one core: {max(peaks):.1f} GFLOP/s")
    holds = mean.value <= MEAN_LIMIT and worst.ratio.value <= WORST_LIMIT
    print(f"at most {MEAN_LIMIT} in the mean and {WORST_LIMIT} for each: {'yes' if holds else 'NO'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
