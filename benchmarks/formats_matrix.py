"""Twelve real architectures in every format on every runtime of this machine; written to docs/formats.md.

    python benchmarks/formats_matrix.py                    # all, or what is missing of them
    python benchmarks/formats_matrix.py --only bert        # one, again
    python benchmarks/formats_matrix.py --measure-again    # on a free machine, what was measured on a busy one
    python benchmarks/formats_matrix.py --without torch-compile-freezing executorch-int8   # what compiles longest
    python benchmarks/formats_matrix.py --page-only        # the page from what is there

What compiles longest comes last, after everything else of all architectures. Every architecture is worked on by a
process of its own, which leaves what it knows after each format and each experiment in
``.benchmarks/formats/<name>.json``, and the page is written anew after each: who stops the script and starts it again
goes on where it was. A converter that kills its process, or takes longer than ``--step-timeout``, is a result; the
next process goes on behind it. Networks have random weights, in which no layer is zero. Nothing else may run on these
processors meanwhile: latency and build time are of a machine at rest. Compilers start with an empty cache.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from formats_page import page

REPOSITORY = Path(__file__).parents[1]
RESULTS = REPOSITORY / ".benchmarks" / "formats"
COMPILER_CACHE = RESULTS / "compiler-cache"
PAGE = REPOSITORY / "docs" / "formats.md"
STEP_TIMEOUT_SECONDS = 300
MEASURING_TIMEOUT_SECONDS = 900
"""Of one experiment, which stops by itself after 600 s."""


class Architecture(NamedTuple):
    """One network: ``arguments`` go to the library's script beside ``--arch``."""

    library: str
    name: str
    arguments: str = ""

    @property
    def result(self) -> Path:
        return RESULTS / f"{self.name}.json"

    @property
    def script_arguments(self) -> str:
        return f"--arch {self.name} {self.arguments}".strip()


ARCHITECTURES = (
    Architecture("transformers", "bert"),
    Architecture("timm", "vit_tiny_patch16_224", "--layers 2"),
    Architecture("timm", "resnet18", "--layers 1"),
    Architecture("transformers", "gpt2"),
    Architecture("timm", "convnext_atto", "--layers 1"),
    Architecture("transformers", "t5", "--layers 1"),
    Architecture("transformers", "clip", "--layers 1"),
    Architecture("timm", "mobilenetv3_small_050"),
    Architecture("transformers", "whisper", "--layers 1"),
    Architecture("transformers", "wav2vec2", "--layers 1"),
    Architecture("timm", "swin_tiny_patch4_window7_224", "--layers 1"),
    Architecture("timm", "efficientnet_b0"),
)  # small ones first: an interrupted run has whole rows

LIVE = ("torch", "torch-bf16", "torch-compile", "torch-compile-max-autotune", "torch-compile-freezing")
FORMATS = (
    "torchscript-trace", "torchscript-script", "torch-exportedprogram", "torch-aoti",
    "torch-exportedprogram-int8-static", "torch-aoti-int8-static",
    "torch-exportedprogram-int8-dynamic", "torch-aoti-int8-dynamic",
    "executorch", "executorch-int8",
    "onnx", "onnx-opt", "onnx-transformers", "onnx-onnxscript", "onnx-slim", "onnx-fp16", "onnx-bf16",
    "onnx-int8-dynamic", "onnx-int8-static", "onnx-int4",
    "openvino", "openvino-fp16", "openvino-bf16", "openvino-int8",
)  # fmt: skip
"""In an order in which parents come first."""
LAST = (
    "torch-compile-max-autotune", "torch-compile-freezing",
    "torch-exportedprogram-int8-static", "torch-aoti-int8-static",
    "torch-exportedprogram-int8-dynamic", "torch-aoti-int8-dynamic", "executorch-int8",
)  # fmt: skip
"""What compiles longest, with what it is compiled from: a second sweep over the architectures."""
LEFT_OUT = {"outcome": "left out"}
FURTHER_RUNTIMES = {"onnx": ("openvino",)}
"""Runtimes of a variant beside its first one."""
GROUP = 11
"""Candidates beside torch in one experiment: about half a gigabyte each."""
NOT_MEASURED = ("torch-exportedprogram-int8-static", "torch-exportedprogram-int8-dynamic")
"""Quantise and dequantise operator by operator; they are there to be compiled."""


class Plan(NamedTuple):
    """How an architecture is worked on.

    ``without`` are formats and runtimes of the live module that are left out; ``postpones`` leaves `LAST` for later.
    """

    threads: int
    passes: int | None
    step_timeout: int
    without: tuple[str, ...]
    postpones: bool = False

    @property
    def skipped(self) -> tuple[str, ...]:
        return (*self.without, *LAST) if self.postpones else self.without

    @property
    def words(self) -> list[str]:
        """The same for a worker's command line."""
        words = ["--threads", str(self.threads)]
        words += [] if self.passes is None else ["--passes", str(self.passes)]
        words += ["--postpone"] if self.postpones else []
        return [*words, "--without", *self.without] if self.without else words

    def is_done(self, found: dict[str, Any]) -> bool:
        """Whether what was found was worked on to the end, with no more left out than here."""
        skipped = found.get("finished_without")
        return skipped is not None and set(skipped) <= set(self.skipped)


def work(architecture: Architecture, plan: Plan) -> None:
    """What is missing of one architecture, in this process."""
    import turnkey
    from turnkey.host import system_info
    from turnkey.measure import Settings
    from turnkey.pipeline.revival import revived
    from turnkey.pipeline.state_file import write_state
    from turnkey.pipeline.stored_source import source_of
    from turnkey.runtimes.reference import Reference
    from turnkey.tools.verdicts import keep_reference_outputs

    found = read(architecture)
    cache = RESULTS / "cache"
    if "class" in found:
        state = revived(turnkey.load_state(cache, architecture.name))
    else:
        script = REPOSITORY / "models" / architecture.library / "any.py"
        start = turnkey.State(cache, architecture.name, input={"path": str(script)})
        arguments = {"script_args": architecture.script_arguments, "input": str(script)}
        state = turnkey.Sequence([("discover", arguments)]).launch(start)
        statistics = state.statistics
        found |= {key: statistics.get(key) for key in ("class", "parameters")} | {
            "arguments": architecture.script_arguments,
            "processor": system_info().processor,
            "formats": {},
            "candidates": {},
            "threads": plan.threads,
        }
        write(architecture, found)
    reference = Reference(source_of(state))
    state, complete = keep_reference_outputs(state, reference)
    reference.source = source_of(state)
    for wanted in FORMATS:
        row = found["formats"].get(wanted, LEFT_OUT)
        if row != LEFT_OUT and ("key" not in row or any(variant.key == row["key"] for variant in state.variants)):
            continue
        if wanted in plan.skipped:
            if wanted in plan.without:
                found["formats"][wanted] = LEFT_OUT
            continue
        write(architecture, {**found, "doing": wanted})
        state, found["formats"][wanted] = converted(state, reference, wanted)
        write_state(state)
        write(architecture, found)
        print(f"{architecture.name}: {wanted}: {found['formats'][wanted]['outcome']}", flush=True)
    write(architecture, {**found, "doing": "measuring"})
    live = [name for name in LIVE if name not in plan.skipped]
    settings = Settings(effort="quick", threads=plan.threads, passes=plan.passes)
    for rows in measured(state, complete, found, live=live, settings=settings):
        doubts = [*found["candidates"].get("torch", {}).get("reasons", []), *rows["torch"]["reasons"]]
        found["candidates"] |= rows
        found["candidates"]["torch"]["reasons"] = list(dict.fromkeys(doubts))  # it was measured with each group
        write(architecture, {**found, "doing": "measuring"})
    found.pop("measuring_failed", None)
    write(architecture, {**found, "finished_without": plan.skipped})


def converted(state: Any, reference: Any, wanted: str) -> tuple[Any, dict[str, Any]]:
    """The state after one conversion with its verification, and what came of them."""
    from turnkey.tools.conversion import Wish, reached
    from turnkey.tools.verdicts import variant_verification
    from turnkey.verify import Tolerances

    started = time.perf_counter()
    try:
        way = reached(state, Wish(format=wanted, before=()), source=reference.source)
    except Exception as error:  # noqa: BLE001 - one format's failure is a row of the table
        return state, {"outcome": "failed", "reason": str(error).splitlines()[0]}
    build_s = time.perf_counter() - started
    if way.key is None:
        reason = way.error.what + (f": {way.error.evidence.splitlines()[0]}" if way.error.evidence else "")
        return way.state, {"outcome": "failed", "reason": reason, "build_s": build_s}
    variant = way.state.variant(way.key)
    row = {"key": way.key, "build_s": build_s, "size_bytes": variant.size_bytes, "notes": list(variant.notes)}
    try:
        seen = variant_verification(way.state, variant, reference, Tolerances())
    except Exception as error:  # noqa: BLE001 - as above
        return way.state, {**row, "outcome": "unverified", "reason": str(error).splitlines()[0]}
    return way.state, {
        **row,
        "outcome": seen.verdict.value,
        "reason": seen.reason,
        "runtime": seen.runtime,
        "max_abs": seen.worst("max_abs"),
        "relative_l2": seen.worst("relative_l2"),
    }


def measured(
    state: Any, samples: Any, found: dict[str, Any], *, live: list[str], settings: Any
) -> Iterator[dict[str, Any]]:
    """Candidates that have no row yet, torch beside a few of them in each experiment: more would not fit into memory.

    A row has latency, ratio to torch with interval, and what the outputs showed.
    """
    from turnkey.measure import run_experiment
    from turnkey.runtimes.handover import handed_over
    from turnkey.tools.candidates import candidates_of

    source, kept = state.model, {variant.key for variant in state.variants}
    pairs: list[tuple[list[str], list[str]]] = [([], live)]
    for wanted, row in found["formats"].items():
        is_whole = row["outcome"] in ("valid", "unverified") and row.get("runtime") and row["key"] in kept
        if is_whole and wanted not in NOT_MEASURED:
            pairs.append(([row["key"]], [row["runtime"], *FURTHER_RUNTIMES.get(row["key"], ())]))
    candidates = [
        candidate
        for variants, runtimes in pairs
        for candidate in candidates_of(state, source, runtimes=runtimes, variants=variants, options={})
    ]
    torch, others = candidates[0], [each for each in candidates[1:] if each.key not in found["candidates"]]
    with handed_over(source, samples, with_module=True) as handover:
        for first in range(0, len(others), GROUP):
            group = [torch, *others[first : first + GROUP]]
            record = run_experiment(
                [candidate.description(handover) for candidate in group],
                reference=torch.key,
                settings=settings,
                listen=lambda text: print(text, flush=True),
            )
            yield {candidate.key: row_of(candidate, record) for candidate in group}


def row_of(candidate: Any, record: Any) -> dict[str, Any]:
    summary, verdict = record.summary(candidate.key), record.verdict(candidate.key)
    return {
        "variant": None if candidate.variant is None else candidate.variant.key,
        "runtime": candidate.runtime.name,
        "latency_ms": summary.latency_ms,
        "ratio": None if verdict is None else [verdict.ratio, verdict.low, verdict.high],
        "is_valid": verdict is None or verdict.is_valid,
        "checked": summary.facts.get("verification"),
        "compile_ms": summary.compile_ms,
        "reasons": list(summary.reasons),
        "error": None if summary.error is None else summary.error["what"],
    }


def read(architecture: Architecture) -> dict[str, Any]:
    if not architecture.result.exists():
        return {}
    found: dict[str, Any] = json.loads(architecture.result.read_text(encoding="utf-8"))
    return found


def write(architecture: Architecture, found: dict[str, Any]) -> None:
    unfinished = architecture.result.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
    unfinished.replace(architecture.result)


def drive(architecture: Architecture, plan: Plan) -> None:
    """Workers, one after another, until nothing is missing; what they took is added up over all calls."""
    started = time.monotonic()
    found = read(architecture)
    if found.pop("doing", None) is not None:  # of a run that was stopped: no failure of that format
        write(architecture, found)
    try:
        work_through(architecture, plan)
    finally:
        found = read(architecture)
        if found:
            seconds = found.get("seconds", 0) + time.monotonic() - started
            write(architecture, {**found, "seconds": round(seconds)})
            print(f"{architecture.name}: {seconds:.0f} s so far", flush=True)


def work_through(architecture: Architecture, plan: Plan) -> None:
    while not plan.is_done(read(architecture)):
        command = [sys.executable, __file__, "--work", architecture.name, *plan.words]
        environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(COMPILER_CACHE)}
        worker = subprocess.Popen(command, start_new_session=True, env=environment)
        reason = watched(worker, architecture, plan.step_timeout)
        found = read(architecture)
        doing = found.pop("doing", None)
        if plan.is_done(found):
            return
        if doing is None:
            print(f"{architecture.name}: not discovered: {reason}", flush=True)
            return
        if doing == "measuring":
            found |= {"finished_without": plan.skipped, "measuring_failed": reason}
        else:
            found["formats"][doing] = {"outcome": "failed", "reason": reason}
        write(architecture, found)
        print(f"{architecture.name}: {doing}: {reason}", flush=True)


def watched(worker: subprocess.Popen[bytes], architecture: Architecture, step_timeout: int) -> str:
    """Wait for a worker; why it ended. One that stays at one step for too long is killed with all it started."""
    began = time.time()
    try:
        while True:
            try:
                code = worker.wait(timeout=5)
                return f"its process was killed by signal {-code}" if code < 0 else f"its process ended with {code}"
            except subprocess.TimeoutExpired:
                changed = max(began, architecture.result.stat().st_mtime if architecture.result.exists() else 0.0)
                is_measuring = read(architecture).get("doing") == "measuring"
                seconds = MEASURING_TIMEOUT_SECONDS if is_measuring else step_timeout
                if time.time() - changed > seconds:
                    return f"it took longer than {seconds} s"
    finally:
        if worker.poll() is None:  # too slow, or we are stopped ourselves
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description="twelve architectures in every format on every runtime, as a page")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these, also where a result is there already")
    parser.add_argument("--measure-again", action="store_true", help="measure anew what was converted before")
    parser.add_argument("--page-only", action="store_true", help="write the page, run nothing")
    parser.add_argument("--threads", type=int, default=1, help="of every runtime")
    parser.add_argument("--passes", type=int, help="of each candidate; fewer than usual where others use the machine")
    parser.add_argument("--without", nargs="+", metavar="NAME", default=[], help="formats and runtimes to leave out")
    parser.add_argument(
        "--step-timeout", type=int, default=STEP_TIMEOUT_SECONDS, metavar="SECONDS", help="of one conversion"
    )
    parser.add_argument("--work", metavar="NAME", help=argparse.SUPPRESS)
    parser.add_argument("--postpone", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    plan = Plan(
        arguments.threads, arguments.passes, arguments.step_timeout, tuple(arguments.without), arguments.postpone
    )
    unknown = set(plan.without) - {*LIVE[1:], *FORMATS}
    if unknown:
        parser.error(f"--without: {', '.join(sorted(unknown))}; known: {', '.join((*LIVE[1:], *FORMATS))}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    by_name = {architecture.name: architecture for architecture in ARCHITECTURES}
    if arguments.work:
        work(by_name[arguments.work], plan)
        return
    wanted = [by_name[name] for name in arguments.only] if arguments.only else list(ARCHITECTURES)
    if not arguments.page_only:
        run(wanted, plan, measures_again=arguments.measure_again, starts_anew=bool(arguments.only))
    write_page()


def run(wanted: list[Architecture], plan: Plan, *, measures_again: bool, starts_anew: bool) -> None:
    """Two sweeps over the architectures; the page is written after each architecture of each."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that the worker ends with us
    shutil.rmtree(COMPILER_CACHE, ignore_errors=True)
    for architecture in wanted:
        if measures_again and architecture.result.exists():
            write(architecture, {**read(architecture), "candidates": {}, "finished_without": None})
        elif starts_anew:
            architecture.result.unlink(missing_ok=True)
    for postpones in (True, False):
        for architecture in wanted:
            if not plan._replace(postpones=postpones).is_done(read(architecture)):
                drive(architecture, plan._replace(postpones=postpones))
                write_page()


def write_page() -> None:
    every = {each.name: read(each) for each in ARCHITECTURES}
    there = {name: found for name, found in every.items() if found.get("candidates") or found.get("measuring_failed")}
    PAGE.write_text(page(there, formats=FORMATS, live=LIVE, of=len(ARCHITECTURES)), encoding="utf-8")
    print(f"{len(there)} of {len(ARCHITECTURES)} architectures in {PAGE.relative_to(REPOSITORY)}", flush=True)


if __name__ == "__main__":
    main()
