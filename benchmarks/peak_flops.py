"""Peak of single-precision arithmetic of one core, as C can reach it: multiply-adds on registers, nothing else.

`PeakLoop` has the methods of ``turnkey.measure.target.Target``, so that the peak is measured between what it judges.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnkey.mlf.toolchain import compile_units, find_compiler

_CODE = """\
#include <stdint.h>
#if defined(__AVX512F__)
#define LANES 16
#elif defined(__AVX__)
#define LANES 8
#else
#define LANES 4
#endif
#define CHAINS 12
typedef float v __attribute__((vector_size(4 * LANES)));
int64_t peak_operations(void);
float peak_loop(float x, float y);
#define ROUNDS 20000
/* Twelve chains hide the latency of two units and fit into sixteen registers beside two operands. */
int64_t peak_operations(void) { return (int64_t)2 * LANES * CHAINS * ROUNDS; }
float peak_loop(float x, float y) {
  v a = x - (v){0}, b = y - (v){0}, sum = {0};
  v c0 = a, c1 = a, c2 = a, c3 = a, c4 = a, c5 = a, c6 = a, c7 = a, c8 = a, c9 = a, c10 = a, c11 = a;
  for (int32_t i = 0; i < ROUNDS; ++i) {
    c0 = c0 * a + b; c1 = c1 * a + b; c2 = c2 * a + b; c3 = c3 * a + b;
    c4 = c4 * a + b; c5 = c5 * a + b; c6 = c6 * a + b; c7 = c7 * a + b;
    c8 = c8 * a + b; c9 = c9 * a + b; c10 = c10 * a + b; c11 = c11 * a + b;
    /* Else the compiler sees twelve equal chains and computes one. */
    __asm__ volatile("" : "+x"(c0), "+x"(c1), "+x"(c2), "+x"(c3), "+x"(c4), "+x"(c5));
    __asm__ volatile("" : "+x"(c6), "+x"(c7), "+x"(c8), "+x"(c9), "+x"(c10), "+x"(c11));
  }
  sum = c0 + c1 + c2 + c3 + c4 + c5 + c6 + c7 + c8 + c9 + c10 + c11;
  float total = 0;
  for (int i = 0; i < LANES; ++i) total += sum[i];
  return total;
}
"""


class PeakLoop:
    """The loop, compiled with the flags of the code that it is compared with."""

    def __init__(self, directory: Path, *, flags: Sequence[str]) -> None:
        source, library = directory / "peak.c", directory / "peak.so"
        register = "w" if find_compiler().target.startswith("aarch64") else "x"
        source.write_text(_CODE.replace('"+x"', f'"+{register}"'), encoding="ascii")
        compile_units(find_compiler(), [source], library, flags=(*flags, "-fPIC"), link=("-shared",))
        loaded = ctypes.CDLL(str(library))
        loaded.peak_operations.restype = ctypes.c_int64
        self._loop = loaded.peak_loop
        self._loop.restype, self._loop.argtypes = ctypes.c_float, (ctypes.c_float, ctypes.c_float)
        self.operations = int(loaded.peak_operations())
        """Of one run: a multiply-add counts as two."""

    def load(self) -> None:
        """Nothing to read."""

    def compile(self) -> bool:
        return False

    def samples(self) -> list[dict[str, Any]]:
        return [{}]

    def check(self, index: int, outputs: Mapping[str, Any]) -> str | None:
        return None

    def prepare(self, sample: Mapping[str, Any]) -> tuple[float, float]:
        """Chains that converge: no value overflows or becomes denormal, however long they are."""
        return 0.5, 0.25

    def run(self, prepared: tuple[float, float]) -> float:
        return float(self._loop(*prepared))

    def outputs(self, result: float) -> dict[str, Any]:
        return {}

    def describe(self) -> Mapping[str, Any]:
        return {}

    def close(self) -> None:
        """Nothing to give back."""
