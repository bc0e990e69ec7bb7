"""The stages of an export as its user hears of them: a word, what it found, seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from turnkey.mlf.building import Build
from turnkey.mlf.lowering import Program
from turnkey.mlf.memory_plan import Plan
from turnkey.mlf.prepare import Prepared
from turnkey.mlf.table import grouped

Listener = Callable[[str, str, float], None]
"""Told (stage, what it found, seconds) as each stage ends."""


class Stages:
    """Time since the last stage, told to the listener and kept."""

    def __init__(self, listen: Listener | None = None) -> None:
        self._listen = listen
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def done(self, stage: str, text: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        if self._listen is not None:
            self._listen(stage, text, now - self._last)
        self._last = now


def prepared_text(nodes: int, prepared: Prepared) -> str:
    """Of a model that had so many nodes."""
    from turnkey.formats.onnx_file import opset_of  # with onnx: only where there is a model

    parameters = sum(array.size for array in prepared.constants.values())
    left = len(prepared.model.graph.node)
    return f"onnx opset {opset_of(prepared.model)}, {nodes} -> {left} nodes, {grouped(int(parameters))} parameters"


def lowered_text(prepared: Prepared, program: Program) -> str:
    kernels = program.kernels()
    generated = sum(kernel.kind == "generated" for kernel in kernels)
    return (
        f"{len(prepared.model.graph.node)} nodes -> {len(program.steps)} steps -> {len(kernels)} kernels "
        f"({len(kernels) - generated} templates, {generated} generated)"
    )


def planned_text(plan: Plan, calls: int) -> str:
    """Of a plan over so many calls."""
    verdict = (
        "= lower bound, proven"
        if plan.workspace == plan.lower_bound
        else (f"{plan.gap:.1%} above the lower bound {plan.lower_bound}" + (", proven least" if plan.proven else ""))
    )
    return f"{calls} calls, {grouped(plan.workspace)} B {verdict} ({plan.algorithm})"


def compiled_text(made: Build) -> str:
    warnings = f"{len(made.warnings)} warnings" if made.warnings else "no warnings"
    cached = ", from the cache" if made.from_cache else ""
    return f"{made.compiler.name} {made.compiler.version} {made.flags[0]}, {warnings}{cached}"
