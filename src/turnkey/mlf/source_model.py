"""``src/``: the model as it was compiled, as ONNX with its weights in the ``.params`` file, and as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.failures import MlfError, failure
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


def whole_model(content: bytes, parameters: bytes, *, path: str) -> onnx.ModelProto:
    """The model read back, its weights taken out of the ``.params`` file's bytes.

    Raises:
        MlfArtifactError: it is no ONNX model, or a weight lies outside of those bytes or does not fit its shape.
    """
    import onnx
    from onnx import numpy_helper

    from turnkey.formats.onnx_graph import tensors_of

    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:
        raise _wrong(path, f"it is no ONNX model ({type(error).__name__})") from error
    for tensor in model.graph.initializer:
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            fields = {entry.key: entry.value for entry in tensor.external_data}
            try:
                start, length = int(fields["offset"]), int(fields["length"])
            except (KeyError, ValueError) as error:
                raise _wrong(path, f"the weight {tensor.name!r} has no place: {error}") from error
            if start < 0 or length < 0 or start + length > len(parameters):
                reason = f"bytes {start} to {start + length} of {len(parameters)}"
                raise _wrong(path, f"the weight {tensor.name!r} lies outside of the parameters: {reason}")
            tensor.raw_data = parameters[start : start + length]
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]
        try:
            numpy_helper.to_array(tensor)
        except Exception as error:
            raise _wrong(path, f"the weight {tensor.name!r} does not fit its shape: {error}") from error
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise _wrong(path, f"the constant {tensor.name!r} of a node lies in another file")
    return model


def _wrong(path: str, reason: str) -> MlfError:
    return failure(
        "mlf-bad-archive",
        "the tarball's ONNX model cannot be read",
        evidence=f"{path}: {reason}",
        remedy="fetch the tarball again, or export the model again",
    )
