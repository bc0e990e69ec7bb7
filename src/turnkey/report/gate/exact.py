"""What needs no statistics: figures of a build that are the same whenever it is built, compared exactly.

``size``   bytes of the stored form, external data included: may not grow
``nodes``  operators of its graph: may not grow
``flops``  floating-point operations of one run: may not grow
``memory`` bytes that the intermediate tensors of one run need at least, planned over their lifetimes: may not grow
``output`` digest of the outputs on the shared inputs, one thread: may not change

A figure that either side does not have is not compared, and that is said.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.measure import TargetDescription
from turnkey.report.gate.activations import planned_bytes
from turnkey.report.gate.building import Built
from turnkey.report.gate.target import newest

METRICS = ("size", "nodes", "flops", "memory", "output")


class Change(StrEnum):
    EQUAL = "equal"
    BETTER = "smaller"
    WORSE = "larger"
    DIFFERENT = "different"
    UNKNOWN = "not known"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExactResult:
    """One metric on both sides."""

    metric: str
    base: int | str | None
    head: int | str | None

    @property
    def change(self) -> Change:
        if self.base is None or self.head is None:
            return Change.UNKNOWN
        if self.base == self.head:
            return Change.EQUAL
        if isinstance(self.base, str) or isinstance(self.head, str):
            return Change.DIFFERENT
        return Change.BETTER if self.head < self.base else Change.WORSE

    @property
    def is_regression(self) -> bool:
        return self.change in (Change.WORSE, Change.DIFFERENT)


def compare_exactly(
    base: Built, head: Built, *, descriptions: Sequence[TargetDescription], metrics: Sequence[str], timeout_s: float
) -> tuple[ExactResult, ...]:
    """The metrics asked for, in the order of `METRICS`.

    Args:
        descriptions: of base and head, for the outputs.

    Raises:
        TurnkeyError: a side cannot be loaded or run.
    """
    found = []
    for metric in (name for name in METRICS if name in metrics):
        if metric == "output":
            digests = [output_digest(description, timeout_s=timeout_s) for description in descriptions]
            found.append(ExactResult(metric=metric, base=digests[0], head=digests[1]))
        else:
            found.append(ExactResult(metric=metric, base=figure(base, metric), head=figure(head, metric)))
    return tuple(found)


def figure(built: Built, metric: str) -> int | None:
    """One figure of a build; None where it has none."""
    variant, statistics = newest(built), built.state.statistics
    if variant is None:
        return None
    if metric == "size":
        return variant.size_bytes or None
    if metric == "nodes":
        counter = statistics.get("onnx_ops_counter")
        return sum(counter.values()) if isinstance(counter, dict) else None
    if metric == "flops":
        flops = statistics.get("onnx_total_flops")
        return flops if isinstance(flops, int) else None
    workspace = statistics.get("workspace")
    if isinstance(workspace, int):  # planned when it was made: C source
        return workspace
    if not variant.path.endswith(".onnx"):
        return None
    from turnkey.pipeline.stored_source import source_of

    shapes = {name: array.shape for name, array in source_of(built.state).samples.inputs[0].items()}
    return planned_bytes(built.state.build_dir / variant.path, shapes=shapes)


def output_digest(description: TargetDescription, *, timeout_s: float) -> str:
    """16 hex digits over names, dtypes, shapes and bytes of all outputs, from a fresh process with one thread.

    Raises:
        TurnkeyError: the process failed, with the tail of what it said, or it took too long.
    """
    job = json.dumps({"factory": description.factory, "arguments": dict(description.arguments)})
    try:
        done = subprocess.run(
            [description.interpreter or sys.executable, "-m", "turnkey.report.gate.exact"],
            input=job,
            env={**os.environ, **description.environment, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TurnkeyError(
            f"{description.key} did not compute its outputs in {timeout_s:g} s",
            evidence=str(error),
            remedy="a longer --build-timeout, or leave the digest out: gate --exact size nodes flops memory",
        ) from error
    if done.returncode:
        raise TurnkeyError(
            f"{description.key} cannot compute its outputs",
            evidence="\n".join(done.stderr.splitlines()[-12:]),
            remedy="leave the digest out: gate --exact size nodes flops memory",
        )
    return done.stdout.split()[-1]


def digest_of(job: dict[str, Any]) -> str:
    """What the process computes."""
    from turnkey.report.gate.target import load_side

    target = load_side(threads=1, **job)
    target.load()
    target.compile()
    digest = hashlib.sha256()
    for sample in target.samples():
        outputs = target.outputs(target.run(target.prepare(sample)))
        for name in sorted(outputs):
            array = outputs[name]
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    target.close()
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    print(digest_of(json.load(sys.stdin)))
