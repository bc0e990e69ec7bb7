"""The exporter through ``torch.export``: the path that torch maintains."""

from __future__ import annotations

import warnings

import torch

from turnkey.formats.export_job import ExportJob
from turnkey.formats.translation_table import kept_table

NAME = "dynamo"
LOWEST_OPSET = 18
"""What torch's translation is written in; a lower one is reached by onnx's version converter afterwards."""


def export(job: ExportJob) -> tuple[str, ...]:
    """Write ``job.path``; the caller holds evaluation mode. Returns notes. Raises whatever torch raises."""
    from turnkey.formats.onnx_grouped_matmul import translations  # onnxscript takes seconds: not for tracing alone

    symbols = job.axes.symbols
    shapes = tuple(dict(symbols[name]) if symbols.get(name) else None for name in job.call.input_names)
    with warnings.catch_warnings(), kept_table():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            job.call,
            job.tensors,
            dynamo=True,
            opset_version=job.opset,
            dynamic_shapes={"tensors": shapes} if job.axes else None,
            verbose=False,
            optimize=True,
            custom_translation_table=translations() or None,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned no program")
    program.save(str(job.path))
    if job.opset < LOWEST_OPSET:
        return (f"opset {job.opset} by version conversion from {LOWEST_OPSET}",)
    return ()
