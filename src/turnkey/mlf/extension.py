"""``turnkey``, the one extension key of the metadata: what the format has no place for, as plain data."""

from __future__ import annotations

import hashlib
from typing import Any

from turnkey.mlf.memory_plan import live_bytes
from turnkey.mlf.module_parts import ModuleParts
from turnkey.version import __version__


def extension(part: ModuleParts) -> dict[str, Any]:
    """``turnkey`` of the metadata, as far as it is known without a compiler."""
    from turnkey.formats.onnx_file import opset_of  # with onnx: only where there is a model

    plan, program = part.layout.plan, part.program
    steps = [program.steps[index] for index in part.layout.called]
    kernel_of = {position: part.sources.names[step.kernel] for position, step in enumerate(steps)}
    used_by: dict[Any, list[str]] = {}
    for step in program.steps:
        used_by.setdefault(step.kernel, []).extend(step.nodes)
    abi: dict[str, Any] = {
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "workspace": part.sources.interface.workspace,
        "workspace_bytes": plan.workspace,
        "workspace_alignment": plan.align,
        "constants": part.sources.constants_mode,
        "constants_padding": part.sources.constants_padding,
        "vector_bytes": part.vector_bytes,
    }
    if part.layout.io_in_pool:
        abi["places"] = {
            name: plan.offsets[part.layout.places[name].root] + part.layout.places[name].offset
            for name in (*program.inputs, *program.outputs)
        }
    return {
        "schema": 1,
        "generator": f"turnkey {__version__}",
        "abi": abi,
        "tensors": {
            name: {
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "bytes": tensor.bytes,
                "layout": tensor.layout,
            }
            for name, tensor in program.tensors.items()
        },
        "plan": {
            "algorithm": plan.algorithm,
            **({"order": part.order} if part.order != "given" else {}),
            "workspace": plan.workspace,
            "lower_bound": plan.lower_bound,
            "gap": round(plan.gap, 6),
            "proven": plan.proven,
            "peak_step": plan.peak_step,
            "live_bytes": live_bytes(plan.buffers, align=plan.align),
            "buffers": [
                [b.name, b.bytes, plan.offsets[b.name], b.first, b.last, kernel_of.get(b.first, "")]
                for b in plan.buffers
            ],
        },
        "kernels": [
            {
                "function_name": name,
                "kind": kernel.kind,
                "nodes": used_by.get(kernel, []),
                "scratch_bytes": kernel.scratch_bytes,
                **({"macs": kernel.macs} if kernel.macs is not None else {}),
                **({"tile": dict(kernel.tile)} if kernel.tile else {}),
            }
            for kernel, name in part.sources.names.items()
        ],
        "source": {
            "sha256": hashlib.sha256(part.model.SerializeToString(deterministic=True)).hexdigest(),
            "opset": opset_of(part.model),
            "producer": part.model.producer_name,
            "nodes": len(part.prepared.model.graph.node),
            "parameters": int(sum(array.size for array in part.prepared.constants.values())),
        },
        **({"notes": list(program.notes)} if program.notes else {}),
    }
