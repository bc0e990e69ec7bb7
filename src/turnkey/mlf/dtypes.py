"""Element types: ONNX number, name in the metadata, bits, numpy type and C type."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnkey.mlf.failures import failure

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class ElementType:
    """One element type.

    Attributes:
        onnx: number in ``onnx.TensorProto``.
        name: as numpy or ml_dtypes call it, which is what the metadata writes.
        code: DLPack's type code (0 int, 1 uint, 2 float, 4 bfloat, 6 bool, 10 and more the small floats).
        bits: of one value; below 8 one byte is used per value all the same.
        c_type: of the functions that we emit.
        gcc: first major version of gcc whose C compiler has that type (0: every).
    """

    onnx: int
    name: str
    code: int
    bits: int
    c_type: str
    gcc: int = 0

    @property
    def bytes(self) -> int:
        return (self.bits + 7) // 8

    def numpy(self) -> np.dtype[Any]:
        import ml_dtypes
        import numpy as np

        return np.dtype(getattr(ml_dtypes, self.name) if hasattr(ml_dtypes, self.name) else self.name)


_TYPES = (
    ElementType(onnx=1, name="float32", code=2, bits=32, c_type="float"),
    ElementType(onnx=2, name="uint8", code=1, bits=8, c_type="uint8_t"),
    ElementType(onnx=3, name="int8", code=0, bits=8, c_type="int8_t"),
    ElementType(onnx=4, name="uint16", code=1, bits=16, c_type="uint16_t"),
    ElementType(onnx=5, name="int16", code=0, bits=16, c_type="int16_t"),
    ElementType(onnx=6, name="int32", code=0, bits=32, c_type="int32_t"),
    ElementType(onnx=7, name="int64", code=0, bits=64, c_type="int64_t"),
    ElementType(onnx=9, name="bool", code=6, bits=8, c_type="bool"),
    ElementType(onnx=10, name="float16", code=2, bits=16, c_type="_Float16"),
    ElementType(onnx=11, name="float64", code=2, bits=64, c_type="double"),
    ElementType(onnx=12, name="uint32", code=1, bits=32, c_type="uint32_t"),
    ElementType(onnx=13, name="uint64", code=1, bits=64, c_type="uint64_t"),
    ElementType(onnx=16, name="bfloat16", code=4, bits=16, c_type="__bf16", gcc=13),
    ElementType(onnx=17, name="float8_e4m3fn", code=10, bits=8, c_type="uint8_t"),
    ElementType(onnx=18, name="float8_e4m3fnuz", code=11, bits=8, c_type="uint8_t"),
    ElementType(onnx=19, name="float8_e5m2", code=12, bits=8, c_type="uint8_t"),
    ElementType(onnx=20, name="float8_e5m2fnuz", code=13, bits=8, c_type="uint8_t"),
    ElementType(onnx=21, name="uint4", code=1, bits=4, c_type="unsigned _BitInt(4)", gcc=14),
    ElementType(onnx=22, name="int4", code=0, bits=4, c_type="_BitInt(4)", gcc=14),
    ElementType(onnx=23, name="float4_e2m1fn", code=17, bits=4, c_type="uint8_t"),
    ElementType(onnx=24, name="float8_e8m0fnu", code=14, bits=8, c_type="uint8_t"),
    ElementType(onnx=25, name="uint2", code=1, bits=2, c_type="unsigned _BitInt(2)", gcc=14),
    ElementType(onnx=26, name="int2", code=0, bits=2, c_type="_BitInt(2)", gcc=14),
)
_BY_ONNX = {kind.onnx: kind for kind in _TYPES}
_BY_NAME = {kind.name: kind for kind in _TYPES}
_BY_DLPACK = {(kind.code, kind.bits): kind for kind in _TYPES}


def of_onnx(number: int, *, tensor: str) -> ElementType:
    """The element type of that ONNX number.

    Raises:
        UnsupportedInModelLibraryFormatError: strings, complex numbers, or no type at all.
    """
    if number in _BY_ONNX:
        return _BY_ONNX[number]
    import onnx

    name = onnx.TensorProto.DataType.Name(number) if number in onnx.TensorProto.DataType.values() else str(number)
    raise failure(
        "mlf-unsupported-dtype",
        f"the C code has no type for {name.lower()} tensors",
        evidence=f"tensor {tensor!r} has the element type {name}",
        remedy="export a model whose tensors are numbers or booleans",
    )


def of_name(name: str) -> ElementType:
    """The element type of that name. Raises KeyError for an unknown one."""
    return _BY_NAME[name]


def of_dlpack(code: int, bits: int) -> ElementType | None:
    """The element type of a DLPack code and width; None if there is none."""
    return _BY_DLPACK.get((code, bits))


def size_bytes(kind: ElementType, shape: Sequence[int]) -> int:
    """Bytes of a dense tensor."""
    return kind.bytes * math.prod(shape)
