"""What the statistics say about an ONNX file: operators, version, input shapes and floating-point operations."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from turnkey.formats.onnx_file import load_graph, opset_of, stored_bytes
from turnkey.formats.onnx_flops import count_flops
from turnkey.formats.onnx_graph import nodes_of
from turnkey.formats.onnx_signature import read_signature


def onnx_statistics(path: Path, *, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any]:
    """The ``onnx_*`` keys of ``turnkey_stats.yaml``, but for the name of the file.

    Args:
        path: the file.
        shapes: extents of the inputs of a sample, for which operations are counted.

    ``onnx_total_flops`` is None where the shapes of a matrix product or convolution are not known: half a count
    would be a wrong number.
    """
    model = load_graph(path)
    counter = Counter(_operator_name(node.domain, node.op_type) for node in nodes_of(model))
    return {
        "onnx_ops_counter": dict(sorted(counter.items())),
        "onnx_model_information": {
            "ir_version": int(model.ir_version),
            "opset": opset_of(model),
            "size_kib": round(stored_bytes(path) / 1024, 1),
        },
        "onnx_input_dimensions": {spec.name: list(spec.shape) for spec in read_signature(model).inputs},
        "onnx_total_flops": count_flops(path, shapes=shapes),
    }


def _operator_name(domain: str, operator: str) -> str:
    return operator if domain in ("", "ai.onnx") else f"{domain}.{operator}"
