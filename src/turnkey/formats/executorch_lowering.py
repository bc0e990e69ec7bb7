"""Lowering a captured module to a program for ExecuTorch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from turnkey.errors import ConversionError
from turnkey.formats.failure_text import one_line
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion
from turnkey.formats.stored_call import write_stored_call
from turnkey.formats.torch_program import Captured, capture, recaptured
from turnkey.model.samples import Sample
from turnkey.model.source import SourceModel

_SHOWN_OPERATORS = 4


def lower(source: SourceModel, path: Path, *, delegate: bool, calibrate: Sequence[Sample]) -> Conversion:
    """Capture, quantise where there are samples to calibrate with, lower and write.

    Raises:
        ModelError: the module fails on its own captured inputs.
        ConversionError: it cannot be captured, quantised or lowered.
    """
    captured = capture(source, dynamic=False)
    notes = list(captured.notes)
    program = captured.program
    if calibrate:
        quantised = _quantised(captured, calibrate)
        program = recaptured(quantised.module, program, captured.call)
        notes.append(quantised.sentence)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            manager = _lowered(program, delegate=delegate)
    except Exception as error:
        raise ConversionError(
            f"ExecuTorch cannot lower {source.class_name}",
            evidence=one_line(error, limit=2000),
            remedy="convert --to executorch --set executorch.delegate::false; the log tells more",
        ) from error
    left = _left_to_portable_kernels(manager)
    if left and delegate:
        shown = ", ".join(sorted(left)[:_SHOWN_OPERATORS])
        notes.append(f"{sum(left.values())} operators are left to portable kernels: {shown}")
    with finished_file(path) as unfinished, unfinished.open("wb") as stream:
        manager.to_executorch().write_to_file(stream)
    return Conversion(
        path=path,
        exporter="executorch-xnnpack" if delegate else "executorch-portable",
        notes=tuple(notes),
        attempts=captured.attempts,
        companions=(write_stored_call(captured.call, path),),
        facts={"portable_operators": left},
    )


def _quantised(captured: Captured, calibrate: Sequence[Sample]) -> Any:
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    from turnkey.formats.pt2e import quantised

    rules = XNNPACKQuantizer()
    rules.set_global(get_symmetric_quantization_config(is_per_channel=True))
    return quantised(captured.program.module(), captured.call.signature, calibrate, rules)


def _lowered(program: torch.export.ExportedProgram, *, delegate: bool) -> Any:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()] if delegate else None)


def _left_to_portable_kernels(manager: Any) -> dict[str, int]:
    """How often each operator stays outside of the delegate."""
    counts: dict[str, int] = {}
    for node in manager.exported_program().graph.nodes:
        name = getattr(node.target, "__name__", str(node.target))  # the text of an operator is its whole schema
        if node.op == "call_function" and name not in ("getitem", "executorch_call_delegate"):
            counts[name] = counts.get(name, 0) + 1
    return counts
