"""``src/``: the model as it was compiled, as ONNX with its weights in the ``.params`` file, and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.params import data_offsets

if TYPE_CHECKING:
    import numpy as np
    import onnx

EXTERNAL_BYTES = 64
"""Weights from this size on are external data that point into the ``.params`` file."""


def onnx_bytes(
    model: onnx.ModelProto,
    constants: Mapping[str, np.ndarray],
    parameters: Mapping[str, np.ndarray],
    *,
    location: str,
) -> bytes:
    """The model; large weights by reference into the file at ``location``, beside it when both are unpacked.

    Args:
        parameters: what the ``.params`` file holds, in its order.
    """
    import onnx
    from onnx import numpy_helper

    offsets = data_offsets(parameters)
    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    for name, array in constants.items():
        if name not in parameters or array.nbytes < EXTERNAL_BYTES:
            whole.graph.initializer.append(numpy_helper.from_array(array, name))
            continue
        tensor = whole.graph.initializer.add()
        tensor.name = name
        tensor.data_type = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor.dims.extend(array.shape)
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", offsets[name]), ("length", array.nbytes)):
            tensor.external_data.add(key=key, value=str(value))
    content: bytes = whole.SerializeToString(deterministic=True)
    return content


def onnx_text(model: onnx.ModelProto) -> bytes:
    """The graph as ONNX text, without weights; the first line says what it is."""
    import onnx.printer

    return f"// ONNX text, without weights\n{onnx.printer.to_text(model)}\n".encode()
