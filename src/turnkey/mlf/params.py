"""The ``.params`` file: weights by name, byte for byte as TVM's own writer lays them out (little endian).

``u64 magic, u64 0, u64 n, n × (u64 length, name), u64 n, n × tensor``; a tensor is ``u64 magic, u64 0, i32 device
type 1, i32 device id 0, i32 rank, u8 code, u8 bits, u16 lanes 1, i64 shape, i64 bytes, data``. The reader believes no
count: each is checked against the bytes that remain before anything is allocated.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from turnkey.mlf import dtypes
from turnkey.mlf.failures import MlfError, failure

if TYPE_CHECKING:
    import numpy as np

_LIST_MAGIC = 0xF7E58D4F05049CB7
_TENSOR_MAGIC = 0xDD5E40F096B4A13F
_RANK_LIMIT = 64


def save_params(parameters: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a ``.params`` file, names in the mapping's order."""
    return b"".join(_chunks(parameters))


def data_offsets(parameters: Mapping[str, np.ndarray]) -> dict[str, int]:
    """Where each tensor's data begins in the file that `save_params` makes, in bytes."""
    position = 0
    starts: list[int] = []
    for index, chunk in enumerate(_chunks(parameters)):
        if index and index % 2 == 0:
            starts.append(position)
        position += len(chunk)
    return dict(zip(parameters, starts, strict=True))


def _chunks(parameters: Mapping[str, np.ndarray]) -> Iterator[bytes]:
    """One head, then per tensor its header and its data."""
    names = [name.encode() for name in parameters]
    head = [struct.pack("<QQQ", _LIST_MAGIC, 0, len(names))]
    head += [struct.pack("<Q", len(name)) + name for name in names]
    head.append(struct.pack("<Q", len(names)))
    yield b"".join(head)
    for array in parameters.values():
        # A bool is written as TVM writes it: code 1, bits 1, one byte each.
        kind = dtypes.of_name(array.dtype.name)
        code, bits = (1, 1) if kind.name == "bool" else (kind.code, kind.bits)
        data = array.tobytes()
        yield (
            struct.pack("<QQiii", _TENSOR_MAGIC, 0, 1, 0, array.ndim)
            + struct.pack("<BBH", code, bits, 1)
            + struct.pack(f"<{array.ndim}qq", *array.shape, len(data))
        )
        yield data


class _Bytes:
    """A cursor over the file that never reads beyond its end."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self.position = 0

    def take(self, count: int, what: str) -> memoryview:
        if count < 0 or count > len(self._content) - self.position:
            raise self.wrong(f"{what} needs {count} bytes, {len(self._content) - self.position} are left")
        piece = self._content[self.position : self.position + count]
        self.position += count
        return piece

    def unpack(self, form: str, what: str) -> tuple[Any, ...]:
        return struct.unpack(form, self.take(struct.calcsize(form), what))

    @property
    def left(self) -> int:
        return len(self._content) - self.position

    def wrong(self, reason: str) -> MlfError:
        return failure(
            "mlf-bad-params",
            "the .params file cannot be read",
            evidence=f"byte {self.position}: {reason}",
            remedy="export the model again, or fetch the tarball again",
        )


def load_params(content: bytes) -> dict[str, np.ndarray]:
    """Arrays by name, in the file's order; arrays own their data.

    Raises:
        MlfArtifactError: not that format, truncated, or a count that the file cannot hold.
    """
    cursor = _Bytes(content)
    magic, _ = cursor.unpack("<QQ", "the list's header")
    if magic != _LIST_MAGIC:
        raise cursor.wrong(f"magic number {magic:#x}, expected {_LIST_MAGIC:#x}")
    (count,) = cursor.unpack("<Q", "the number of names")
    if count > cursor.left // 8:
        raise cursor.wrong(f"{count} names in {cursor.left} bytes")
    names = []
    for _ in range(count):
        (length,) = cursor.unpack("<Q", "a name's length")
        try:
            names.append(bytes(cursor.take(length, "a name")).decode())
        except UnicodeDecodeError as error:
            raise cursor.wrong("a name is not UTF-8") from error
    if len(set(names)) != count:
        raise cursor.wrong("a name occurs twice")
    (tensors,) = cursor.unpack("<Q", "the number of tensors")
    if tensors != count:
        raise cursor.wrong(f"{count} names and {tensors} tensors")
    loaded = {name: _tensor(cursor) for name in names}
    if cursor.left:
        raise cursor.wrong(f"{cursor.left} bytes after the last tensor")
    return loaded


def _tensor(cursor: _Bytes) -> np.ndarray:
    import numpy as np

    magic, _ = cursor.unpack("<QQ", "a tensor's header")
    if magic != _TENSOR_MAGIC:
        raise cursor.wrong(f"magic number {magic:#x} of a tensor, expected {_TENSOR_MAGIC:#x}")
    _device, _device_id, rank = cursor.unpack("<iii", "a tensor's header")
    code, bits, lanes = cursor.unpack("<BBH", "a tensor's type")
    if not 0 <= rank <= _RANK_LIMIT or lanes != 1:
        raise cursor.wrong(f"rank {rank}, {lanes} lanes")
    shape = cursor.unpack(f"<{rank}q", "a shape")
    (length,) = cursor.unpack("<q", "a tensor's size")
    kind = _kind(code, bits)
    if kind is None:
        raise cursor.wrong(f"unknown element type: code {code}, {bits} bits")
    elements = 1
    for extent in shape:
        if extent < 0:
            raise cursor.wrong(f"negative extent in {shape}")
        elements *= extent
    if elements * kind.bytes != length:
        raise cursor.wrong(f"shape {shape} of {kind.name} is not {length} bytes")
    data = cursor.take(length, "a tensor's data")
    try:
        return np.frombuffer(bytes(data), dtype=kind.numpy()).reshape(shape).copy()
    except ValueError as error:  # an empty tensor may state extents that no array has
        raise cursor.wrong(f"shape {shape}: {error}") from error


def _kind(code: int, bits: int) -> dtypes.ElementType | None:
    if (code, bits) == (1, 1):
        return dtypes.of_name("bool")
    return dtypes.of_dlpack(code, bits)
