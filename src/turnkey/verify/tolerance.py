"""How far outputs may lie apart, by dtype.

The limit of one element is ``atol * scale + rtol * |reference|``, where ``scale`` is ``max(1, rms(reference))``:
rounding of a sum goes with the size of what was summed, so that an element near zero among large ones carries the
error of the large ones. Beside it the norm of the error over the norm of the reference has a limit of its own,
which finds a small systematic error that no single element shows.

Values that the user gives are taken literally (scale 1, no limit on the norm), as in ``torch.testing.assert_close``.

Source of the defaults: errors of whole networks (convolutional, transformer) against torch eager on the same
weights are 1e-7 to 1e-5 in float32, about 1e-3 in float16 and 1e-2 in bfloat16; the limits leave room of about
four. Integers and booleans are exact.

Quantised variants compute in integers whose steps go with the range of each tensor: their errors scale with the
outputs, however small those are, and the norm is the test that tells. Well calibrated 8-bit networks are 1e-2 to 5e-2
off in the norm, one calibrated on garbage 0.3 and more. That norm is blind where all elements share a large offset:
outputs of 100 ± 1 pass it as a constant 100. There the error is held against how far the outputs vary.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """Limits for one output.

    Attributes:
        rtol: share of the reference's magnitude, per element.
        atol: absolute part, per element; in units of the reference's scale where ``scaled``.
        scaled: whether ``atol`` grows with the scale of the output.
        relative_l2: limit of norm(error) / norm(reference); None does not test it.
        smallest_scale: of the output, below which ``atol`` does not shrink with it.
        about_mean: whether an output whose own mean in every element would agree must agree about that mean too.
    """

    rtol: float
    atol: float
    scaled: bool = True
    relative_l2: float | None = None
    smallest_scale: float = 1.0
    about_mean: bool = False


EXACT = Tolerance(rtol=0.0, atol=0.0, scaled=False)

QUANTIZED_8_BITS = "quantized to 8 bits"
QUANTIZED_4_BITS = "quantized to 4 bits"
"""Precisions that no dtype has: outputs of such variants are floats again."""

_BY_PRECISION = {
    "float64": Tolerance(rtol=1e-7, atol=1e-8, relative_l2=1e-8),
    "float32": Tolerance(rtol=1e-4, atol=2e-5, relative_l2=5e-5),
    "float16": Tolerance(rtol=1e-2, atol=1e-2, relative_l2=1e-2),
    "bfloat16": Tolerance(rtol=5e-2, atol=5e-2, relative_l2=4e-2),
    "float8_e4m3fn": Tolerance(rtol=0.25, atol=0.2, relative_l2=0.2),
    "float8_e5m2": Tolerance(rtol=0.5, atol=0.4, relative_l2=0.4),
    QUANTIZED_8_BITS: Tolerance(rtol=0.1, atol=0.5, relative_l2=0.1, smallest_scale=1e-6, about_mean=True),
    QUANTIZED_4_BITS: Tolerance(rtol=0.2, atol=1.0, relative_l2=0.25, smallest_scale=1e-6, about_mean=True),
}
_PRECISION_ORDER = tuple(_BY_PRECISION)
_AS_FLOAT = {"complex128": "float64", "complex64": "float32"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerances:
    """How to judge the outputs of one variant.

    Attributes:
        rtol, atol: the user's own values for every floating output; None leaves the default of the dtype.
        scaled: whether given values still grow with the scale of the output; they are literal without it.
        precision: dtype in which the variant computes (``float16`` for a converted file that keeps float32
            inputs and outputs), or `QUANTIZED_8_BITS`, `QUANTIZED_4_BITS`: outputs of finer dtypes are judged by it.
            None: by the outputs' own dtypes.
    """

    rtol: float | None = None
    atol: float | None = None
    scaled: bool = False
    precision: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("rtol", self.rtol), ("atol", self.atol)):
            # A NaN limit would let everything pass, since every comparison with it is false.
            if value is not None and not 0 <= value < float("inf"):
                raise UsageError(f"{name} must be a finite number that is not negative", evidence=f"{name}={value!r}")

    def limit_for(self, *dtypes: str) -> Tolerance:
        """The tolerance for an output that has these dtypes in the reference and in the variant."""
        names = [_AS_FLOAT.get(dtype, dtype) for dtype in dtypes]
        if not any(name in _BY_PRECISION for name in names):
            return EXACT
        if self.precision is not None:
            names.append(self.precision)
        default = _BY_PRECISION[max((n for n in names if n in _BY_PRECISION), key=_PRECISION_ORDER.index)]
        if self.rtol is None and self.atol is None:
            return default
        return Tolerance(
            rtol=default.rtol if self.rtol is None else self.rtol,
            atol=default.atol if self.atol is None else self.atol,
            scaled=self.scaled,
        )


_PRECISION_MARKS = {
    "fp16": "float16",
    "f16": "float16",
    "bf16": "bfloat16",
    "int8": QUANTIZED_8_BITS,
    "int4": QUANTIZED_4_BITS,
}


def precision_of(variant_key: str) -> str | None:
    """The precision in which a variant computes, told by its key (``onnx-opt-fp16``); None if it names none."""
    marks = [_PRECISION_MARKS[part] for part in variant_key.split("-") if part in _PRECISION_MARKS]
    return max(marks, key=_PRECISION_ORDER.index, default=None)
