"""What a network of 25 million parameters costs: export, tarball, C source, compiler time and memory.

    python benchmarks/mlf_size.py                  # ResNet-50 of the onnx package, with random weights
    python benchmarks/mlf_size.py --json size.json

The export runs in a process of its own with empty caches: import, start-up of the generator and all. The compiler runs
as `turnkey.mlf.load(...).module().build()` runs it. The exit code is 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import onnx
from mlf_memory import light_networks

NETWORK = "resnet50"


class Figure(NamedTuple):
    """One measured figure and its limit, in the same unit."""

    name: str
    value: float
    limit: float
    unit: str


def exported(model: Path, target: Path, cache: Path) -> float:
    """Seconds of ``export --no-compile`` in a fresh process, from the model's file to the tarball's."""
    program = (
        "import sys, time; started = time.perf_counter(); import turnkey.mlf as mlf; "
        "mlf.export(sys.argv[1], sys.argv[2], name='network', compile=False); "
        "print(time.perf_counter() - started)"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(model), str(target)],
        env={**os.environ, "TURNKEY_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout)


def measured(directory: Path) -> list[Figure]:
    """All figures, made below ``directory``."""
    import turnkey.mlf as mlf

    model = dict(light_networks())[NETWORK]()
    source, target = directory / "network.onnx", directory / "network.tar"
    onnx.save(model, source)
    parameters = source.stat().st_size
    del model
    cold = exported(source, target, directory / "cache")
    warm = exported(source, target, directory / "cache")
    module = mlf.load(target).module()
    text = sum(len(content) for content in module.sources().values())
    os.environ["TURNKEY_CACHE_DIR"] = str(directory / "cache")
    started = time.perf_counter()
    made = module.build()
    seconds = time.perf_counter() - started
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
    compiler = f"{made.build.compiler.name} {made.build.compiler.version} {made.build.flags[0]}"
    count = sum(array.size for array in module.parameters().values())
    print(f"{NETWORK}: {count:,} parameters; {compiler}; {os.cpu_count()} processors")
    return [
        Figure("export, empty caches", cold, 10, "s"),
        Figure("export, kernels cached", warm, 10, "s"),
        Figure("C source", text / 1e6, 1, "MB"),
        Figure("compile and link", seconds, 10, "s"),
        Figure("largest process", memory / 1e9, 1, "GB"),
        Figure("tarball", target.stat().st_size / 1e6, (2.1 * parameters + 1e6) / 1e6, "MB"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        figures = measured(Path(directory))
    for figure in figures:
        verdict = "" if figure.value <= figure.limit else "   TOO MUCH"
        print(f"{figure.name:<24} {figure.value:>8.2f} {figure.unit:<2}  limit {figure.limit:.4g}{verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps([figure._asdict() for figure in figures], indent=1))
    return 0 if all(figure.value <= figure.limit for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
