"""Does the gate cry wolf, and does it hear one? Equal and slower revisions of fast models, judged again and again.

    python benchmarks/gate.py                       # 100 runs of each kind, 3 models in turn; goes on after a stop
    python benchmarks/gate.py --runs 20 --effort standard
    python benchmarks/gate.py --table-only

Per run the gate measures two files that were built beforehand, with the rule, the limit (5 %) and the effort that the
command uses: chains of equal layers on ONNX Runtime, 20 layers against 20 (A/A) and against 22 (planted 10 %). What is
asked for: fewer than 5 % of the A/A runs red, at least 95 % of the planted ones. Results are kept one by one in
``.benchmarks/gate.jsonl``; the exit code is 0 where both hold.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from turnkey.measure import Settings, TargetDescription, run_experiment
from turnkey.measure.statistics import binomial_interval
from turnkey.model.samples import SampleSet, write_samples
from turnkey.report.gate.check import BASE, HEAD, judgement_of
from turnkey.report.gate.judgement import Answer, Judgement

PLACE = Path(__file__).parents[1] / ".benchmarks"
RESULTS = PLACE / "gate.jsonl"
LAYERS, SLOWER = 20, 22
LIMIT = 0.05
KINDS = {"equal": LAYERS, "planted": SLOWER}
MODELS = ("mlp", "convolution", "attention")


def chain(model: str, layers: int) -> onnx.ModelProto:
    """``layers`` equal layers one after another; one call takes a millisecond or two."""
    make = {"mlp": _mlp, "convolution": _convolution, "attention": _attention}[model]
    shape = {"mlp": [32, 256], "convolution": [1, 32, 24, 24], "attention": [1, 64, 96]}[model]
    generator = np.random.Generator(np.random.PCG64(0))
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    name = "x"
    for index in range(layers):
        name = make(index, name, nodes, weights, generator)
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
    graph = helper.make_graph(nodes, model, inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _weight(weights: list[onnx.TensorProto], generator: np.random.Generator, name: str, shape: tuple[int, ...]) -> str:
    value = generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    weights.append(numpy_helper.from_array(value.astype(np.float32), name))
    return name


def _mlp(index: int, name: str, nodes: list[Any], weights: list[Any], generator: np.random.Generator) -> str:
    matrix = _weight(weights, generator, f"w{index}", (256, 256))
    nodes.append(helper.make_node("MatMul", [name, matrix], [f"m{index}"]))
    nodes.append(helper.make_node("Tanh", [f"m{index}"], [f"t{index}"]))
    return f"t{index}"


def _convolution(index: int, name: str, nodes: list[Any], weights: list[Any], generator: np.random.Generator) -> str:
    kernel = _weight(weights, generator, f"w{index}", (32, 32, 3, 3))
    nodes.append(helper.make_node("Conv", [name, kernel], [f"c{index}"], pads=[1, 1, 1, 1]))
    nodes.append(helper.make_node("Tanh", [f"c{index}"], [f"t{index}"]))
    return f"t{index}"


def _attention(index: int, name: str, nodes: list[Any], weights: list[Any], generator: np.random.Generator) -> str:
    for part in ("q", "k", "v"):
        matrix = _weight(weights, generator, f"{part}w{index}", (96, 96))
        nodes.append(helper.make_node("MatMul", [name, matrix], [f"{part}{index}"]))
    nodes += [
        helper.make_node("Transpose", [f"k{index}"], [f"kt{index}"], perm=[0, 2, 1]),
        helper.make_node("MatMul", [f"q{index}", f"kt{index}"], [f"s{index}"]),
        helper.make_node("Softmax", [f"s{index}"], [f"p{index}"], axis=-1),
        helper.make_node("MatMul", [f"p{index}", f"v{index}"], [f"o{index}"]),
        helper.make_node("Tanh", [f"o{index}"], [f"t{index}"]),
    ]
    return f"t{index}"


def prepared(model: str) -> dict[int, TargetDescription]:
    """The files of a model with their inputs, made once: by number of layers how a process loads it."""
    directory = PLACE / "gate" / model
    directory.mkdir(parents=True, exist_ok=True)
    found = {}
    for layers in (LAYERS, SLOWER):
        path = directory / f"{layers}.onnx"
        made = chain(model, layers)
        path.write_bytes(made.SerializeToString())
        shape = [dim.dim_value for dim in made.graph.input[0].type.tensor_type.shape.dim]
        generator = np.random.Generator(np.random.PCG64(1))
        inputs = tuple({"x": generator.standard_normal(shape).astype(np.float32)} for _ in range(8))
        samples = directory / "samples"
        write_samples(SampleSet(structure=None, inputs=inputs, outputs=(None,) * 8, seed=1), samples)
        found[layers] = TargetDescription(
            key=HEAD,
            factory="turnkey.runtimes.target:load_target",
            arguments={"runtime": "onnxruntime", "samples": str(samples), "path": str(path)},
        )
    return found


def judged(files: dict[int, TargetDescription], layers: int, *, model: str, seed: int, effort: str) -> Judgement:
    """One run of the gate's experiment."""
    base = files[LAYERS]
    targets = [
        TargetDescription(key=BASE, factory=base.factory, arguments=base.arguments),
        TargetDescription(key=HEAD, factory=base.factory, arguments=files[layers].arguments),
    ]
    settings = Settings(effort=effort, threads=1, limit=LIMIT, seed=seed)
    record = run_experiment(targets, reference=BASE, settings=settings)
    return judgement_of(record, name=model, limit=LIMIT, base="base", head="head")


def finished(effort: str) -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [line for line in lines if line["effort"] == effort]


def _append(line: dict[str, Any]) -> None:
    """Below a line that was cut while it was written, never behind it."""
    kept = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write("\n" * (kept[-1:] not in ("", "\n")) + json.dumps(line) + "\n")


def table(results: Iterable[dict[str, Any]]) -> tuple[list[str], bool]:
    """Lines to print, and whether both shares hold."""
    rows = list(results)
    lines = [
        f"{'':<22} {'runs':>5} {'red':>16} {'pass':>5} {'undecided':>9} {'invalid':>7} {'s/run':>6} {'rounds':>6}"
    ]
    holds = True
    for kind in KINDS:
        for model in (*MODELS, None):
            mine = [row for row in rows if row["kind"] == kind and model in (None, row["model"])]
            if not mine:
                continue
            counts = {answer: sum(row["answer"] == answer.name for row in mine) for answer in Answer}
            red, n = counts[Answer.REGRESSION], len(mine)
            low, high = binomial_interval(red, n)
            seconds, rounds = (sum(row[name] for row in mine) / n for name in ("seconds", "rounds"))
            share = f"{red / n:.0%} [{low:.0%}, {high:.0%}]"
            lines.append(
                f"{kind + ' ' + (model or 'all'):<22} {n:>5} {share:>16} {counts[Answer.PASS]:>5} "
                f"{counts[Answer.UNDECIDED]:>9} {counts[Answer.INVALID]:>7} {seconds:>6.1f} {rounds:>6.1f}"
            )
            if model is None:
                holds = holds and (red / n < 0.05 if kind == "equal" else red / n >= 0.95)
    return lines, holds and {row["kind"] for row in rows} == set(KINDS)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="of each kind, the models in turn")
    parser.add_argument("--effort", choices=("standard", "rigorous"), default="rigorous")
    parser.add_argument("--table-only", action="store_true", help="run nothing")
    arguments = parser.parse_args()
    PLACE.mkdir(exist_ok=True)
    done = {(row["kind"], row["run"]) for row in finished(arguments.effort)}
    files = {} if arguments.table_only else {model: prepared(model) for model in MODELS}
    for run in range(0 if arguments.table_only else arguments.runs):
        for kind, layers in KINDS.items():
            if (kind, run) in done:
                continue
            model = MODELS[run % len(MODELS)]
            began = time.monotonic()
            found = judged(files[model], layers, model=model, seed=run, effort=arguments.effort)
            line = {
                "kind": kind,
                "run": run,
                "model": model,
                "effort": arguments.effort,
                "answer": found.answer.name,
                "slowdown": None if found.slowdown is None else found.slowdown.estimate,
                "rounds": 0 if found.slowdown is None else found.slowdown.rounds,
                "seconds": round(time.monotonic() - began, 2),
                "causes": list(found.causes),
            }
            _append(line)
            print(f"{kind} {run + 1} of {arguments.runs}, {model}: {found.answer.name} {found.slowdown}", flush=True)
    lines, holds = table(finished(arguments.effort))
    print("\n" + "\n".join(lines))
    print(f"\nfewer than 5 % of equal and at least 95 % of planted runs red: {'yes' if holds else 'NO'}")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
