"""Vectors of float in C: GNU vector types as wide as the target has them, and plain floats where there are none.

`vectors` is a helper text: put ``vectors(graph.vector_bytes)`` first among a kernel's ``helpers``. It defines

* ``TURNKEY_LANES``: 16, 8, 4 or 1 floats per vector; never wider than the tarball's ``vector_bytes``;
* ``turnkey_floats`` and ``turnkey_ints`` (int32): values, on which C's operators work lane by lane, also with a
  scalar as one side; with one lane they are ``float`` and ``int32_t``;
* ``turnkey_load(p)``, ``turnkey_store(p, v)``: at any multiple of four bytes, whatever type the bytes were written as;
* ``turnkey_max``, ``turnkey_min`` (the second value where one is not a number), ``turnkey_all(x)`` (x in each lane);
* ``TURNKEY_NARROW_LANES`` and the same types and functions as ``turnkey_narrow_floats``, ``turnkey_narrow_load`` ..:
  at most eight lanes, for blocks of eight values;
* ``TURNKEY_ACCUMULATORS``: vectors that a loop may keep in registers beside a few others;
* ``TURNKEY_INLINE``: in front of functions that must become part of their callers, and may stay unused;
* ``TURNKEY_UNROLLED``, ``TURNKEY_ROLLED``: in front of loops of at most 16 turns that must, or must not, be unrolled.
"""

from __future__ import annotations

_COMMON = """\
#ifndef TURNKEY_LANES
#if defined(__GNUC__)
#define TURNKEY_INLINE static inline __attribute__((always_inline, unused))
#else
#define TURNKEY_INLINE static inline
#endif
#if defined(__clang__)
#define TURNKEY_UNROLLED _Pragma("clang loop unroll(full)")
#define TURNKEY_ROLLED _Pragma("clang loop unroll(disable)")
#elif defined(__GNUC__)
#define TURNKEY_UNROLLED _Pragma("GCC unroll 16")
#define TURNKEY_ROLLED _Pragma("GCC unroll 1")
#else
#define TURNKEY_UNROLLED
#define TURNKEY_ROLLED
#endif
#if !defined(__GNUC__) || defined(TURNKEY_MLF_SCALAR) || $bytes < 16
#define TURNKEY_LANES 1
#elif defined(__AVX512F__) && $bytes >= 64
#define TURNKEY_LANES 16
#elif defined(__AVX__) && $bytes >= 32
#define TURNKEY_LANES 8
#elif defined(__SSE2__) || defined(__ARM_NEON)
#define TURNKEY_LANES 4
#else
#define TURNKEY_LANES 1
#endif
#define TURNKEY_NARROW_LANES (TURNKEY_LANES > 8 ? 8 : TURNKEY_LANES)
#if defined(__AVX512F__) || defined(__aarch64__)
#define TURNKEY_ACCUMULATORS 24
#else
#define TURNKEY_ACCUMULATORS 12
#endif
"""
_VECTORS = """\
typedef float $p_floats __attribute__((vector_size(4 * $lanes)));
typedef int32_t $p_ints __attribute__((vector_size(4 * $lanes)));
typedef float $p_floats_there __attribute__((vector_size(4 * $lanes), aligned(4), may_alias));
TURNKEY_INLINE $p_floats $p_load(const float *p) { return *(const $p_floats_there *)p; }
TURNKEY_INLINE void $p_store(float *p, $p_floats v) { *($p_floats_there *)p = v; }
TURNKEY_INLINE $p_floats $p_all(float x) { return x - ($p_floats){0}; }
TURNKEY_INLINE $p_floats $p_chosen($p_ints which, $p_floats a, $p_floats b) {
  return ($p_floats)((which & ($p_ints)a) | (~which & ($p_ints)b));
}
TURNKEY_INLINE $p_floats $p_max($p_floats a, $p_floats b) { return $p_chosen(a > b, a, b); }
TURNKEY_INLINE $p_floats $p_min($p_floats a, $p_floats b) { return $p_chosen(a < b, a, b); }
"""
_SCALARS = """\
typedef float $p_floats;
typedef int32_t $p_ints;
TURNKEY_INLINE $p_floats $p_load(const float *p) { return *p; }
TURNKEY_INLINE void $p_store(float *p, $p_floats v) { *p = v; }
TURNKEY_INLINE $p_floats $p_all(float x) { return x; }
TURNKEY_INLINE $p_floats $p_max($p_floats a, $p_floats b) { return a > b ? a : b; }
TURNKEY_INLINE $p_floats $p_min($p_floats a, $p_floats b) { return a < b ? a : b; }
"""
_FAMILIES = {"turnkey": "TURNKEY_LANES", "turnkey_narrow": "TURNKEY_NARROW_LANES"}


def vectors(vector_bytes: int) -> str:
    """The helper text, with no vector wider than that."""

    def family(text: str, name: str) -> str:
        return text.replace("$p", name).replace("$lanes", _FAMILIES[name])

    wide, narrow = ("".join(family(text, name) for name in _FAMILIES) for text in (_VECTORS, _SCALARS))
    return f"{_COMMON.replace('$bytes', str(vector_bytes))}#if TURNKEY_LANES > 1\n{wide}#else\n{narrow}#endif\n#endif"
