/*
 * Vectors of float: GNU vector extensions as wide as the target has registers, or one float in plain C99.
 *
 * TURNKEY_VECTOR_BYTES (0, 16, 32 or 64) is the widest vector that the code may use; TURNKEY_MLF_SCALAR asks for plain
 * C. Everything below the two sections of primitives is written once, in their terms. Loads and stores need no
 * alignment beyond that of float, and may alias anything: workspace and constants are pools of bytes.
 */
#ifndef TURNKEY_VECTOR_BYTES
#define TURNKEY_VECTOR_BYTES 64
#endif
#if !defined(__GNUC__) || defined(TURNKEY_MLF_SCALAR)
#define TURNKEY_LANES 1
#elif TURNKEY_VECTOR_BYTES >= 64 && defined(__AVX512F__)
#define TURNKEY_LANES 16
#elif TURNKEY_VECTOR_BYTES >= 32 && defined(__AVX__)
#define TURNKEY_LANES 8
#elif TURNKEY_VECTOR_BYTES >= 16 && (defined(__SSE2__) || defined(__ARM_NEON))
#define TURNKEY_LANES 4
#else
#define TURNKEY_LANES 1
#endif

#if defined(__GNUC__)
#define TURNKEY_INLINE static inline __attribute__((always_inline, unused))
#else
#define TURNKEY_INLINE static inline
#endif
/* Arrays of vectors stay in registers only if the loops over them are unrolled, whatever the optimisation level. */
#if defined(__clang__)
#define TURNKEY_UNROLLED _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define TURNKEY_UNROLLED _Pragma("GCC unroll 16")
#else
#define TURNKEY_UNROLLED
#endif
#if defined(__GNUC__)
#define TURNKEY_INFINITY __builtin_inff()
#define TURNKEY_NAN __builtin_nanf("")
#else
#include <math.h>
#define TURNKEY_INFINITY INFINITY
#define TURNKEY_NAN NAN
#endif

#if TURNKEY_LANES > 1
typedef float turnkey_floats __attribute__((vector_size(4 * TURNKEY_LANES)));
typedef uint32_t turnkey_bits __attribute__((vector_size(4 * TURNKEY_LANES)));
typedef float turnkey_floats_there __attribute__((vector_size(4 * TURNKEY_LANES), aligned(4), may_alias));

TURNKEY_INLINE turnkey_floats turnkey_load(const float *p) { return *(const turnkey_floats_there *)p; }
TURNKEY_INLINE void turnkey_store(float *p, turnkey_floats x) { *(turnkey_floats_there *)p = x; }
TURNKEY_INLINE turnkey_floats turnkey_all(float x) { return x - (turnkey_floats){0}; }
TURNKEY_INLINE turnkey_bits turnkey_as_bits(turnkey_floats x) { return (turnkey_bits)x; }
TURNKEY_INLINE turnkey_floats turnkey_as_floats(turnkey_bits x) { return (turnkey_floats)x; }
TURNKEY_INLINE turnkey_bits turnkey_less(turnkey_floats a, turnkey_floats b) { return (turnkey_bits)(a < b); }
TURNKEY_INLINE turnkey_bits turnkey_is_nan(turnkey_floats x) { return (turnkey_bits)(x != x); }
TURNKEY_INLINE turnkey_floats turnkey_load_part(const float *p, int count) {
  turnkey_floats x = {0};
  __builtin_memcpy(&x, p, 4 * (size_t)count);
  return x;
}
TURNKEY_INLINE void turnkey_store_part(float *p, turnkey_floats x, int count) {
  __builtin_memcpy(p, &x, 4 * (size_t)count);
}
#else
typedef float turnkey_floats;
typedef uint32_t turnkey_bits;
typedef union {
  float as_float;
  uint32_t as_bits;
} turnkey_both;

TURNKEY_INLINE turnkey_floats turnkey_load(const float *p) { return *p; }
TURNKEY_INLINE void turnkey_store(float *p, turnkey_floats x) { *p = x; }
TURNKEY_INLINE turnkey_floats turnkey_all(float x) { return x; }
TURNKEY_INLINE turnkey_bits turnkey_as_bits(turnkey_floats x) {
  turnkey_both both;
  both.as_float = x;
  return both.as_bits;
}
TURNKEY_INLINE turnkey_floats turnkey_as_floats(turnkey_bits x) {
  turnkey_both both;
  both.as_bits = x;
  return both.as_float;
}
TURNKEY_INLINE turnkey_bits turnkey_less(turnkey_floats a, turnkey_floats b) { return a < b ? 0xffffffffu : 0u; }
TURNKEY_INLINE turnkey_bits turnkey_is_nan(turnkey_floats x) { return x != x ? 0xffffffffu : 0u; }
TURNKEY_INLINE turnkey_floats turnkey_load_part(const float *p, int count) { return count ? *p : 0.0f; }
TURNKEY_INLINE void turnkey_store_part(float *p, turnkey_floats x, int count) {
  if (count) *p = x;
}
#endif

/* The first so many floats, at most all lanes; beyond them, zeros. */
TURNKEY_INLINE turnkey_floats turnkey_load_some(const float *p, const int count) {
  return count >= TURNKEY_LANES ? turnkey_load(p) : turnkey_load_part(p, count);
}
TURNKEY_INLINE void turnkey_store_some(float *p, turnkey_floats x, const int count) {
  if (count >= TURNKEY_LANES)
    turnkey_store(p, x);
  else
    turnkey_store_part(p, x, count);
}

TURNKEY_INLINE turnkey_floats turnkey_chosen(turnkey_bits mask, turnkey_floats yes, turnkey_floats no) {
  return turnkey_as_floats((turnkey_as_bits(yes) & mask) | (turnkey_as_bits(no) & ~mask));
}
/* The larger and the smaller of two; b where either is no number, as the instructions of x86 have it. */
#if TURNKEY_LANES == 8
TURNKEY_INLINE turnkey_floats turnkey_max(turnkey_floats a, turnkey_floats b) { return __builtin_ia32_maxps256(a, b); }
TURNKEY_INLINE turnkey_floats turnkey_min(turnkey_floats a, turnkey_floats b) { return __builtin_ia32_minps256(a, b); }
#elif TURNKEY_LANES == 4 && defined(__SSE2__)
TURNKEY_INLINE turnkey_floats turnkey_max(turnkey_floats a, turnkey_floats b) { return __builtin_ia32_maxps(a, b); }
TURNKEY_INLINE turnkey_floats turnkey_min(turnkey_floats a, turnkey_floats b) { return __builtin_ia32_minps(a, b); }
#elif TURNKEY_LANES == 1
TURNKEY_INLINE turnkey_floats turnkey_max(turnkey_floats a, turnkey_floats b) { return a > b ? a : b; }
TURNKEY_INLINE turnkey_floats turnkey_min(turnkey_floats a, turnkey_floats b) { return a < b ? a : b; }
#else
TURNKEY_INLINE turnkey_floats turnkey_max(turnkey_floats a, turnkey_floats b) {
  return turnkey_chosen(turnkey_less(b, a), a, b);
}
TURNKEY_INLINE turnkey_floats turnkey_min(turnkey_floats a, turnkey_floats b) {
  return turnkey_chosen(turnkey_less(a, b), a, b);
}
#endif
TURNKEY_INLINE turnkey_floats turnkey_abs(turnkey_floats x) {
  return turnkey_as_floats(turnkey_as_bits(x) & 0x7fffffffu);
}
TURNKEY_INLINE turnkey_floats turnkey_with_sign_of(turnkey_floats x, turnkey_floats sign) {
  return turnkey_as_floats((turnkey_as_bits(x) & 0x7fffffffu) | (turnkey_as_bits(sign) & 0x80000000u));
}
/* A product and a sum; one rounding where the compiler contracts them (its default for GNU C). */
TURNKEY_INLINE turnkey_floats turnkey_fma(turnkey_floats a, turnkey_floats b, turnkey_floats c) { return a * b + c; }
TURNKEY_INLINE float turnkey_lane(turnkey_floats x, int lane) {
#if TURNKEY_LANES > 1
  return x[lane];
#else
  (void)lane;
  return x;
#endif
}
/* The lanes moved round by so many: a constant. */
#if TURNKEY_LANES > 1 && !defined(__clang__)
TURNKEY_INLINE turnkey_floats turnkey_turned(turnkey_floats x, const uint32_t by) {
  turnkey_bits from;
  TURNKEY_UNROLLED
  for (uint32_t i = 0; i < TURNKEY_LANES; ++i) from[i] = (i + by) % TURNKEY_LANES;
  return __builtin_shuffle(x, from);
}
#elif TURNKEY_LANES > 1
TURNKEY_INLINE turnkey_floats turnkey_turned(turnkey_floats x, const uint32_t by) {
  turnkey_floats turned;
  TURNKEY_UNROLLED
  for (uint32_t i = 0; i < TURNKEY_LANES; ++i) turned[i] = x[(i + by) % TURNKEY_LANES];
  return turned;
}
#else
TURNKEY_INLINE turnkey_floats turnkey_turned(turnkey_floats x, const uint32_t by) {
  (void)by;
  return x;
}
#endif
/* Sum and maximum over the lanes, by halves: the order of the additions is fixed. A NaN may get lost in a maximum. */
TURNKEY_INLINE float turnkey_sum(turnkey_floats x) {
  TURNKEY_UNROLLED
  for (int half = TURNKEY_LANES / 2; half; half /= 2) x = x + turnkey_turned(x, (uint32_t)half);
  return turnkey_lane(x, 0);
}
TURNKEY_INLINE float turnkey_largest(turnkey_floats x) {
  TURNKEY_UNROLLED
  for (int half = TURNKEY_LANES / 2; half; half /= 2) x = turnkey_max(x, turnkey_turned(x, (uint32_t)half));
  return turnkey_lane(x, 0);
}

/*
 * Elementary functions. Polynomials: least maximal error over their interval, coefficients rounded one by one from the
 * lowest, each time fitting the rest again. Errors are measured against long double by tests/mlf/kernels.
 */

/* 2^n, n near x / ln 2, times exp of the rest; in two steps, so that subnormal results are right. At most 2 ulp. */
TURNKEY_INLINE turnkey_floats turnkey_exp(turnkey_floats x) {
  const turnkey_floats magic = turnkey_all(12582912.0f); /* 1.5 * 2^23: added, it rounds to an integer in low bits */
  const turnkey_floats c = turnkey_min(turnkey_all(90.0f), turnkey_max(turnkey_all(-105.0f), x));
  const turnkey_floats shifted = turnkey_fma(c, turnkey_all(1.44269504f), magic);
  const turnkey_floats n = shifted - magic;
  const turnkey_floats r = turnkey_fma(n, turnkey_all(2.12194440e-4f), turnkey_fma(n, turnkey_all(-0.693359375f), c));
  const turnkey_bits power = turnkey_as_bits(shifted) - (0x4b400000u - 256u); /* n + 256 */
  const turnkey_bits half = power >> 1;
  turnkey_floats p = turnkey_fma(turnkey_all(0.0013939857f), r, turnkey_all(0.0083688153f));
  p = turnkey_fma(p, r, turnkey_all(0.0416664109f));
  p = turnkey_fma(p, r, turnkey_all(0.166665196f));
  p = turnkey_fma(p, r, turnkey_all(0.5f));
  p = turnkey_fma(p * r, r, r) + 1.0f;
  return p * turnkey_as_floats((half - 1u) << 23) * turnkey_as_floats((power - half - 1u) << 23);
}

/* exp of what is at most 0, for sums in which results below 2^-126 do not count: those are 0. NaN stays NaN. */
TURNKEY_INLINE turnkey_floats turnkey_exp_of_negative(turnkey_floats x) {
  const turnkey_floats magic = turnkey_all(12582912.0f);
  const turnkey_floats c = turnkey_max(turnkey_all(-88.0f), x);
  const turnkey_floats shifted = turnkey_fma(c, turnkey_all(1.44269504f), magic);
  const turnkey_floats n = shifted - magic;
  const turnkey_floats r = turnkey_fma(n, turnkey_all(2.12194440e-4f), turnkey_fma(n, turnkey_all(-0.693359375f), c));
  turnkey_floats p = turnkey_fma(turnkey_all(0.0013939857f), r, turnkey_all(0.0083688153f));
  p = turnkey_fma(p, r, turnkey_all(0.0416664109f));
  p = turnkey_fma(p, r, turnkey_all(0.166665196f));
  p = turnkey_fma(p, r, turnkey_all(0.5f));
  p = turnkey_fma(p * r, r, r) + 1.0f;
  /* At n = -127 the exponent is 0: so is the factor. */
  return p * turnkey_as_floats((turnkey_as_bits(shifted) + 127u) << 23);
}

/* 1 / (1 + exp(-x)), from exp of a negative number on both sides, so that no intermediate overflows. */
TURNKEY_INLINE turnkey_floats turnkey_sigmoid(turnkey_floats x) {
  const turnkey_floats e = turnkey_exp(turnkey_as_floats(turnkey_as_bits(x) | 0x80000000u));
  const turnkey_floats one = turnkey_all(1.0f);
  return turnkey_chosen(turnkey_less(x, turnkey_all(0.0f)), e, one) / (one + e);
}

/* A polynomial near 0, else 1 - 2 / (exp(2 |x|) + 1). */
TURNKEY_INLINE turnkey_floats turnkey_tanh(turnkey_floats x) {
  const turnkey_floats one = turnkey_all(1.0f), t = turnkey_abs(x), s = x * x;
  turnkey_floats p = turnkey_fma(turnkey_all(-0.00571538694f), s, turnkey_all(0.0206490327f));
  p = turnkey_fma(p, s, turnkey_all(-0.0537429936f));
  p = turnkey_fma(p, s, turnkey_all(0.133314848f));
  p = turnkey_fma(p, s, turnkey_all(-0.333332837f));
  p = turnkey_fma(p * s, x, x);
  const turnkey_floats e = turnkey_exp_of_negative(-2.0f * t);
  const turnkey_floats far = turnkey_with_sign_of((one - e) / (one + e), x);
  return turnkey_chosen(turnkey_less(t, turnkey_all(0.625f)), p, far);
}

/* A polynomial near 0, else 1 - exp(-t q(t)), where t q(t) fits -log(erfc(t)) up to 4: erf rounds to 1 there. */
TURNKEY_INLINE turnkey_floats turnkey_erf(turnkey_floats x) {
  const turnkey_floats t = turnkey_min(turnkey_all(4.0f), turnkey_abs(x)), s = x * x;
  turnkey_floats p = turnkey_fma(turnkey_all(7.96028253e-05f), s, turnkey_all(-0.000804229174f));
  p = turnkey_fma(p, s, turnkey_all(0.00519186724f));
  p = turnkey_fma(p, s, turnkey_all(-0.0268555749f));
  p = turnkey_fma(p, s, turnkey_all(0.112836242f));
  p = turnkey_fma(p, s, turnkey_all(-0.376126289f));
  p = turnkey_fma(p, s, turnkey_all(0.128379166f));
  p = turnkey_fma(p, x, x);
  turnkey_floats q = turnkey_fma(turnkey_all(-0.00021354128f), t, turnkey_all(0.00321138627f));
  q = turnkey_fma(q, t, turnkey_all(-0.0228788275f));
  q = turnkey_fma(q, t, turnkey_all(0.105244994f));
  q = turnkey_fma(q, t, turnkey_all(0.635730684f));
  q = turnkey_fma(q, t, turnkey_all(1.12851083f));
  const turnkey_floats far = turnkey_with_sign_of(1.0f - turnkey_exp_of_negative(-q * t), x);
  return turnkey_chosen(turnkey_less(t, turnkey_all(0.92f)), p, far);
}

/* 1 / sqrt(x): 0 of infinity, infinity of 0, NaN of what is negative. At most 3 ulp. */
#if TURNKEY_LANES == 8 && !defined(__clang__)
TURNKEY_INLINE turnkey_floats turnkey_rsqrt(turnkey_floats x) { return 1.0f / __builtin_ia32_sqrtps256(x); }
#elif TURNKEY_LANES == 4 && defined(__SSE2__) && !defined(__clang__)
TURNKEY_INLINE turnkey_floats turnkey_rsqrt(turnkey_floats x) { return 1.0f / __builtin_ia32_sqrtps(x); }
#else
/* A first guess from the exponent, then Newton's steps; subnormal numbers are scaled up for them. */
TURNKEY_INLINE turnkey_floats turnkey_rsqrt(turnkey_floats x) {
  const turnkey_floats zero = turnkey_all(0.0f);
  const turnkey_bits is_subnormal = turnkey_less(x, turnkey_all(1.17549435e-38f));
  const turnkey_bits is_usual = turnkey_less(zero, x) & turnkey_less(x, turnkey_all(TURNKEY_INFINITY));
  const turnkey_floats scaled = turnkey_chosen(is_subnormal, x * 16777216.0f, x), half = 0.5f * scaled;
  const turnkey_bits strange = turnkey_as_bits(1.0f / x) | (turnkey_less(x, zero) & 0x7fc00000u);
  turnkey_floats y = turnkey_as_floats(0x5f375a86u - (turnkey_as_bits(scaled) >> 1));
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  y = y * (1.5f - half * y * y);
  y = turnkey_fma(y, 0.5f - half * y * y, y);
  return turnkey_chosen(is_usual, turnkey_chosen(is_subnormal, y * 4096.0f, y), turnkey_as_floats(strange));
}
#endif

/* What may follow a sum: a constant number, so that one case remains after compilation. */
enum {
  TURNKEY_NONE,
  TURNKEY_RELU,
  TURNKEY_CLIP,
  TURNKEY_GELU,
  TURNKEY_TANH_GELU,
  TURNKEY_SIGMOID,
  TURNKEY_TANH,
  TURNKEY_SILU,
  TURNKEY_HARD_SWISH,
  TURNKEY_LEAKY
};

TURNKEY_INLINE turnkey_floats turnkey_activate(turnkey_floats x, int activation, float low, float high) {
  const turnkey_floats zero = turnkey_all(0.0f), one = turnkey_all(1.0f);
  switch (activation) {
    case TURNKEY_RELU:
      return turnkey_max(zero, x);
    case TURNKEY_CLIP:
      return turnkey_min(turnkey_all(high), turnkey_max(turnkey_all(low), x));
    case TURNKEY_GELU:
      return 0.5f * x * (one + turnkey_erf(x * 0.707106781f));
    case TURNKEY_TANH_GELU:
      return 0.5f * x * (one + turnkey_tanh(0.797884561f * (x + 0.044715f * x * x * x)));
    case TURNKEY_SIGMOID:
      return turnkey_sigmoid(x);
    case TURNKEY_TANH:
      return turnkey_tanh(x);
    case TURNKEY_SILU:
      return x * turnkey_sigmoid(x);
    case TURNKEY_HARD_SWISH:
      return x * turnkey_min(one, turnkey_max(zero, turnkey_fma(x, turnkey_all(1.0f / 6.0f), turnkey_all(0.5f))));
    case TURNKEY_LEAKY:
      return turnkey_chosen(turnkey_less(x, zero), low * x, x);
    default:
      return x;
  }
}

/* The end of a sum: a bias and a further operand are added where there are some, and it is activated. */
TURNKEY_INLINE void turnkey_finish(turnkey_floats sum, const float *bias, const float *side, int activation, float low,
                                   float high, float *to, const int count) {
  if (bias) sum = sum + turnkey_load_some(bias, count);
  if (side) sum = sum + turnkey_load_some(side, count);
  turnkey_store_some(to, turnkey_activate(sum, activation, low, high), count);
}
