"""The exporter through TorchScript tracing, which torch calls deprecated: fast, and takes what the other refuses.

Trap: it sets the training flag of every submodule according to the object that it was given, and leaves it so. The
wrapper's own flag is off, and `evaluation_mode` of the caller gives each module its flag back.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from turnkey.formats.export_job import ExportJob
from turnkey.formats.frozen_values import frozen_note, frozen_places
from turnkey.formats.torch_call import PositionalCall

NAME = "torchscript"
HIGHEST_OPSET = 20


def export(job: ExportJob) -> tuple[str, ...]:
    """Write ``job.path``; the caller holds evaluation mode. Returns notes. Raises whatever torch raises."""
    if job.opset > HIGHEST_OPSET:
        raise ValueError(f"this exporter knows opsets up to {HIGHEST_OPSET}, not {job.opset}")
    with warnings.catch_warnings(record=True) as caught, _fused_attention_off():
        warnings.simplefilter("always")
        torch.onnx.export(
            _exportable(job.call, job.tensors),
            job.tensors,
            str(job.path),
            dynamo=False,
            opset_version=job.opset,
            input_names=list(job.call.input_names),
            output_names=list(job.output_names),
            dynamic_axes={name: dict(symbols) for name, symbols in job.axes.symbols.items() if symbols} or None,
        )
    return frozen_note(frozen_places(caught))


def _exportable(call: PositionalCall, tensors: tuple[torch.Tensor, ...]) -> torch.nn.Module:
    """The call itself; traced beforehand if it holds scripted modules, which the exporter's own tracer refuses."""
    if not any(isinstance(module, torch.jit.ScriptModule) for module in call.modules()):
        return call
    return torch.jit.trace(call, tensors, check_trace=False, strict=False)


@contextmanager
def _fused_attention_off() -> Iterator[None]:
    """Without torch's fused encoder kernel, an operator that ONNX and this exporter do not know."""
    enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(enabled)
