"""Did an export get larger, deeper or slower? Five fixed networks against the figures that were recorded last.

    python benchmarks/mlf_figures.py                # compare; exit code 1 if a figure got worse
    python benchmarks/mlf_figures.py --no-latency   # what is exact only: ten seconds
    python benchmarks/mlf_figures.py --record       # compare, then add the figures to mlf_figures.json: commit it

Exact figures may not grow by a byte: workspace, constants, C source, number of kernels; and with the recorded compiler
also text, rodata and worst-case stack at fixed flags. Latency is the ratio to ONNX Runtime on one thread: the median
of three quick experiments of the measuring engine, the networks in turn, with the interval that covers theirs. On the
recorded processor it fails where it is more than 25 % above the recorded ratio and the two intervals lie apart.
Processor time of all exports together (user and system) may at most double there. What is better than recorded is
said, and passes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from mlf_fixed_networks import NETWORKS
from mlf_targets import comparison

import turnkey.mlf as mlf
from turnkey import host
from turnkey.measure import Settings, TargetDescription, run_experiment
from turnkey.mlf.lowering import emx
from turnkey.mlf.toolchain import find_compiler
from turnkey.version import __version__

RECORDED = Path(__file__).with_suffix(".json")
FLAGS = ("-O2",)
"""Without ``-march=native``: with one compiler, every host of an architecture gives the same figures."""
SOURCE_FIGURES = ("workspace", "constants", "source", "kernels")
COMPILED_FIGURES = ("text", "rodata", "stack")
LATENCY_MARGIN = 1.25
LATENCY_ROUNDS = 3
TIME_MARGIN = 2.0

Figures = Mapping[str, Any]
"""An entry of the record: ``compiler``, ``processor``, ``seconds`` and ``networks`` among others."""


class Difference(NamedTuple):
    """One figure that is not what was recorded."""

    text: str
    is_regression: bool


def exported(name: str, directory: Path) -> dict[str, Any]:
    """Exact figures of one network, whose tarball stays in ``directory``; bytes, but for the number of kernels."""
    path = directory / f"{name}.tar"
    mlf.export(NETWORKS[name](), path, name=name, constants="incbin", cflags=FLAGS, verify=False)
    module = mlf.load(path).module()
    facts = module.metadata.turnkey
    main = module.memory["functions"]["main"][0]
    return {
        "workspace": main["workspace_size_bytes"],
        "constants": main["constants_size_bytes"],
        "source": sum(len(text.encode()) for text in module.sources().values()),
        "kernels": len(facts["kernels"]),
        "text": facts.get("sections", {}).get("text"),
        "rodata": facts.get("sections", {}).get("rodata"),
        "stack": facts.get("stack", {}).get("static_bytes"),
    }


def latency(name: str, targets: Sequence[TargetDescription], *, seed: int) -> dict[str, float]:
    """The C code's time over ONNX Runtime's, with its interval, and both in microseconds.

    Raises:
        SystemExit: one of the two fails, or computes something else.
    """
    settings = Settings(effort="quick", threads=1, seed=seed)
    record = run_experiment(targets, reference="onnxruntime", settings=settings)
    found = record.verdict("mlf", against="onnxruntime")
    if found is None or any(record.summary(key).error for key in record.keys):
        raise SystemExit(f"{name} could not be measured: {record.sentence()}")
    times = {f"{key}_us": (record.summary(key).latency_ms or 0) * 1000 for key in record.keys}
    return {"ratio": 1 / found.ratio, "low": 1 / found.high, "high": 1 / found.low, **times}


def joined(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Medians over experiments; the interval covers all of theirs, since each knows of one process only."""
    ends = {"low": min, "high": max}
    return {key: round(ends.get(key, statistics.median)([found[key] for found in rounds]), 3) for key in rounds[0]}


def measured(directory: Path, *, with_latency: bool) -> dict[str, Any]:
    """A new entry of the record. The exports find empty caches, as after an installation."""
    compiler = find_compiler()
    os.environ["TURNKEY_CACHE_DIR"] = str(directory / "cache")
    before = os.times()
    networks = {name: exported(name, directory) for name in NETWORKS}
    seconds = sum(os.times()[:4]) - sum(before[:4])  # user and system, of this process and its children
    if with_latency:
        targets = {name: comparison(name, NETWORKS[name](), directory) for name in NETWORKS}
        rounds = [
            {name: latency(name, targets[name], seed=seed) for name in NETWORKS} for seed in range(LATENCY_ROUNDS)
        ]
        for name, figures in networks.items():
            figures["latency"] = joined([found[name] for found in rounds])
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "turnkey": __version__,
        "compiler": f"{compiler.name} {compiler.version} {compiler.target}",
        "processor": host.processor(),
        "generator": emx.version(),
        "onnxruntime": version("onnxruntime"),
        "seconds": round(seconds, 1),
        "networks": networks,
    }


def differences(recorded: Figures, now: Figures) -> list[Difference]:
    """Every figure of ``now`` that is not what was recorded, as far as the two can be compared."""
    found = []
    same_compiler = recorded["compiler"] == now["compiler"]
    same_processor = recorded["processor"] == now["processor"]
    for name, figures in now["networks"].items():
        old = recorded["networks"].get(name)
        if old is None:
            found.append(Difference(f"{name}: not recorded", False))
            continue
        for figure in (*SOURCE_FIGURES, *(COMPILED_FIGURES if same_compiler else ())):
            was, is_ = old.get(figure), figures.get(figure)
            if was is not None and is_ is not None and was != is_:
                text = f"{name}: {figure} {was:,} -> {is_:,} ({is_ - was:+,})"
                found.append(Difference(text, is_ > was))
        if same_processor and "latency" in figures and "latency" in old:
            found += _slower(name, old["latency"], figures["latency"])
    missing = sorted(recorded["networks"].keys() - now["networks"].keys())
    found += [Difference(f"{name}: recorded, and not exported any more", True) for name in missing]
    if same_processor and same_compiler and now["seconds"] > TIME_MARGIN * recorded["seconds"]:
        found.append(Difference(f"exports: {recorded['seconds']} -> {now['seconds']} s of processor time", True))
    return found


def _slower(name: str, old: Mapping[str, float], new: Mapping[str, float]) -> list[Difference]:
    if new["ratio"] > LATENCY_MARGIN * old["ratio"] and new["low"] > old["high"]:
        return [Difference(f"{name}: latency {_interval(old)} -> {_interval(new)} of ONNX Runtime's", True)]
    return []


def _interval(latency_: Mapping[str, float]) -> str:
    return f"{latency_['ratio']:.2f} [{latency_['low']:.2f}, {latency_['high']:.2f}]"


def table(recorded: Figures | None, now: Figures) -> str:
    """Exact figures, and latency beside the recorded one."""
    columns = (*SOURCE_FIGURES, *COMPILED_FIGURES)
    lines = [f"{'':<12}" + "".join(f"{column:>11}" for column in columns) + "   latency / ONNX Runtime"]
    for name, figures in now["networks"].items():
        cells = "".join(f"{'–' if figures[c] is None else format(figures[c], ','):>11}" for c in columns)
        said = ""
        if "latency" in figures:
            old = (recorded or {"networks": {}})["networks"].get(name, {}).get("latency")
            said = f"   {_interval(figures['latency'])}" + (f"   recorded {_interval(old)}" if old else "")
        lines.append(f"{name:<12}{cells}{said}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-latency", action="store_true")
    parser.add_argument("--record", action="store_true", help="growth is meant: add what was measured to the record")
    arguments = parser.parse_args()
    if arguments.record and arguments.no_latency:
        parser.error("a record without latency would hide what the next change costs")
    history = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else []
    last = history[-1] if history else None
    with tempfile.TemporaryDirectory() as directory:
        now = measured(Path(directory), with_latency=not arguments.no_latency)
    print(f"{now['compiler']}, {now['processor']}; exports took {now['seconds']} s of processor time")
    print(table(last, now))
    found = differences(last, now) if last else []
    if last:
        print(f"against the record of {last['date']} ({len(history)} entries):")
        for key in ("compiler", "processor", "generator", "onnxruntime"):
            if last[key] != now[key]:
                print(f"  another {key}: {last[key]} -> {now[key]}")
        for difference in found:
            print(f"  {difference.text}{'   WORSE' if difference.is_regression else ''}")
        if not found:
            print("  nothing differs")
    if arguments.record:
        RECORDED.write_text(json.dumps([*history, now], indent=1) + "\n", encoding="utf-8")
        print(f"recorded in {RECORDED.name}")
        return 0
    if last is None:
        print(f"nothing is recorded in {RECORDED.name}: --record")
        return 1
    return int(any(difference.is_regression for difference in found))


if __name__ == "__main__":
    sys.exit(main())
