"""What a network of 25 million parameters costs: export, tarball, C source, compiler time and memory.

    python benchmarks/mlf_size.py                  # ResNet-50 of the onnx package, with random weights
    python benchmarks/mlf_size.py --json size.json

Export and build run in processes of their own, the first export with empty caches: import, start-up of the generator
and all. Judged are seconds of processor time (user and system, over all processes), which other programs on the
machine hardly change; seconds by the clock stand beside them. The exit code is 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import argparse
import json
import os
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
    """One measured figure and its limit, in the same unit; ``clock_s`` where the figure is processor time."""

    name: str
    value: float
    limit: float
    unit: str
    clock_s: float | None = None


class Cost(NamedTuple):
    """Of one child process and its children: seconds, and the largest memory of any process below it, in bytes."""

    processor_s: float
    clock_s: float
    memory_bytes: int


EXPORT = "import sys, turnkey.mlf as mlf; mlf.export(sys.argv[1], sys.argv[2], name='network', compile=False)"
BUILD = "import sys, turnkey.mlf as mlf; mlf.load(sys.argv[1]).module().build()"
_REPORT = """
import json, resource
own, below = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
seconds = own.ru_utime + own.ru_stime + below.ru_utime + below.ru_stime
print(json.dumps([seconds, below.ru_maxrss * 1024]))
"""


def cost(program: str, *arguments: Path, cache: Path) -> Cost:
    """What a Python program takes, from the start of its interpreter to its end."""
    started = time.perf_counter()
    result = subprocess.run(
        [sys.executable, "-c", program + _REPORT, *map(str, arguments)],
        env={**os.environ, "TURNKEY_CACHE_DIR": str(cache)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds, memory = json.loads(result.stdout.splitlines()[-1])
    return Cost(seconds, time.perf_counter() - started, memory)


def measured(directory: Path) -> list[Figure]:
    """All figures, made below ``directory``."""
    import turnkey.mlf as mlf
    from turnkey.mlf.toolchain import find_compiler

    source, target, cache = (directory / name for name in ("network.onnx", "network.tar", "cache"))
    onnx.save(dict(light_networks())[NETWORK](), source)
    cold = cost(EXPORT, source, target, cache=cache)
    warm = cost(EXPORT, source, target, cache=cache)
    build = cost(BUILD, target, cache=cache)
    module = mlf.load(target).module()
    text = sum(len(content) for content in module.sources().values())
    parameters = sum(array.nbytes for array in module.parameters().values())
    compiler = find_compiler()
    print(
        f"{NETWORK}: {parameters // 4:,} parameters; {compiler.name} {compiler.version}; {os.cpu_count()} processors"
    )
    return [
        Figure("export, empty caches", cold.processor_s, 10, "s", cold.clock_s),
        Figure("export, kernels cached", warm.processor_s, 10, "s", warm.clock_s),
        Figure("C source", text / 1e6, 1, "MB"),
        Figure("load, compile and link", build.processor_s, 10, "s", build.clock_s),
        Figure("largest compiler process", build.memory_bytes / 1e9, 1, "GB"),
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
        clock = f"   {figure.clock_s:.1f} s by the clock" if figure.clock_s is not None else ""
        print(f"{figure.name:<25} {figure.value:>8.2f} {figure.unit:<2}  limit {figure.limit:.4g}{clock}{verdict}")
    if arguments.json:
        arguments.json.write_text(json.dumps([figure._asdict() for figure in figures], indent=1))
    return 0 if all(figure.value <= figure.limit for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
