/*
 * Products of bytes in sums of 32 bits, and their way back to bytes.
 *
 * Values come without their zero points as numbers of 16 bits, two neighbours of one sum in each lane of 32: for such
 * pairs processors have a multiply-add that cannot overflow, unlike the one for bytes, whose sums of 16 bits saturate.
 * Needs vectors.h.
 */
#if TURNKEY_LANES >= 8 && defined(__AVX2__)
#define TURNKEY_SUM_LANES 8
#elif TURNKEY_LANES >= 4
#define TURNKEY_SUM_LANES 4
#else
#define TURNKEY_SUM_LANES 1
#endif
#define TURNKEY_BYTE_PANEL 16 /* of a panel of weights; every number of sums divides it */

#if TURNKEY_SUM_LANES > 1
typedef int32_t turnkey_sums __attribute__((vector_size(4 * TURNKEY_SUM_LANES)));
typedef uint32_t turnkey_words __attribute__((vector_size(4 * TURNKEY_SUM_LANES)));
typedef float turnkey_reals __attribute__((vector_size(4 * TURNKEY_SUM_LANES)));
typedef int16_t turnkey_shorts __attribute__((vector_size(4 * TURNKEY_SUM_LANES)));
typedef int8_t turnkey_chars __attribute__((vector_size(4 * TURNKEY_SUM_LANES)));
/*
 * Conversions between bytes and words are slow as gcc writes them: shuffles are not, where it knows the clang form, and
 * neither are the instructions of AVX2, by names that only gcc has.
 */
#if defined(__clang__) || __GNUC__ >= 12
#define TURNKEY_SHUFFLES 1
#else
#define TURNKEY_SHUFFLES 0
#endif

TURNKEY_INLINE turnkey_sums turnkey_sums_all(int32_t x) { return x - (turnkey_sums){0}; }
TURNKEY_INLINE turnkey_reals turnkey_reals_all(float x) { return x - (turnkey_reals){0}; }
TURNKEY_INLINE turnkey_sums turnkey_load_sums(const int32_t *p) {
  turnkey_sums x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
TURNKEY_INLINE turnkey_reals turnkey_load_reals(const float *p) {
  turnkey_reals x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
#if TURNKEY_SUM_LANES == 8 && defined(__clang__)
typedef int8_t turnkey_sixteen __attribute__((vector_size(16)));
#elif TURNKEY_SUM_LANES == 8
typedef char turnkey_sixteen __attribute__((vector_size(16)));
#endif
/* Pairs of weights, one pair per lane. */
TURNKEY_INLINE turnkey_sums turnkey_pairs_int8_t(const int8_t *p) {
#if TURNKEY_SUM_LANES == 8
  turnkey_sixteen x;
  __builtin_memcpy(&x, p, sizeof x);
#if defined(__clang__)
  return (turnkey_sums)__builtin_convertvector(x, turnkey_shorts);
#else
  return (turnkey_sums)__builtin_ia32_pmovsxbw256(x);
#endif
#elif TURNKEY_SHUFFLES
  turnkey_chars x = {0};
  __builtin_memcpy(&x, p, 8);
  x = __builtin_shufflevector(x, x, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return (turnkey_sums)((turnkey_shorts)x >> 8);
#else
  return (turnkey_sums)(turnkey_shorts){p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
#endif
}
TURNKEY_INLINE turnkey_sums turnkey_pairs_int16_t(const int16_t *p) {
  turnkey_sums x;
  __builtin_memcpy(&x, p, sizeof x);
  return x;
}
/* One pair of values in every lane. */
TURNKEY_INLINE turnkey_sums turnkey_pair(const int16_t *p) {
  int32_t x;
  __builtin_memcpy(&x, p, sizeof x);
  return turnkey_sums_all(x);
}
/* One value per lane. */
#if TURNKEY_SUM_LANES == 8 && defined(__clang__)
#define TURNKEY_VALUES(type)                                              \
  TURNKEY_INLINE turnkey_sums turnkey_values_##type(const type *p) {      \
    typedef type eight __attribute__((vector_size(8)));                   \
    eight x;                                                              \
    __builtin_memcpy(&x, p, sizeof x);                                    \
    return __builtin_convertvector(x, turnkey_sums);                      \
  }
TURNKEY_VALUES(int8_t)
TURNKEY_VALUES(uint8_t)
#elif TURNKEY_SUM_LANES == 8
typedef int64_t turnkey_halves __attribute__((vector_size(16)));
TURNKEY_INLINE turnkey_sixteen turnkey_load_eight(const void *p) {
  int64_t x;
  __builtin_memcpy(&x, p, sizeof x);
  return (turnkey_sixteen)(turnkey_halves){x, 0};
}
TURNKEY_INLINE turnkey_sums turnkey_values_int8_t(const int8_t *p) {
  return (turnkey_sums)__builtin_ia32_pmovsxbd256(turnkey_load_eight(p));
}
TURNKEY_INLINE turnkey_sums turnkey_values_uint8_t(const uint8_t *p) {
  return (turnkey_sums)__builtin_ia32_pmovzxbd256(turnkey_load_eight(p));
}
#else
TURNKEY_INLINE turnkey_sums turnkey_values_int8_t(const int8_t *p) { return (turnkey_sums){p[0], p[1], p[2], p[3]}; }
TURNKEY_INLINE turnkey_sums turnkey_values_uint8_t(const uint8_t *p) { return (turnkey_sums){p[0], p[1], p[2], p[3]}; }
#endif
TURNKEY_INLINE turnkey_sums turnkey_multiply_add(turnkey_sums sum, turnkey_sums a, turnkey_sums b) {
#if TURNKEY_SUM_LANES == 8
  return sum + (turnkey_sums)__builtin_ia32_pmaddwd256((turnkey_shorts)a, (turnkey_shorts)b);
#elif defined(__SSE2__)
  return sum + (turnkey_sums)__builtin_ia32_pmaddwd128((turnkey_shorts)a, (turnkey_shorts)b);
#else
  const turnkey_sums a_low = (turnkey_sums)((turnkey_words)a << 16) >> 16;
  const turnkey_sums b_low = (turnkey_sums)((turnkey_words)b << 16) >> 16;
  return sum + a_low * b_low + (a >> 16) * (b >> 16);
#endif
}
TURNKEY_INLINE turnkey_reals turnkey_reals_of(turnkey_sums x) { return __builtin_convertvector(x, turnkey_reals); }
TURNKEY_INLINE turnkey_sums turnkey_whole(turnkey_reals x) { return __builtin_convertvector(x, turnkey_sums); }
TURNKEY_INLINE turnkey_reals turnkey_bounded(turnkey_reals x, float low, float high) {
  const turnkey_reals lowest = turnkey_reals_all(low), highest = turnkey_reals_all(high);
#if TURNKEY_SUM_LANES == 8
  return __builtin_ia32_minps256(__builtin_ia32_maxps256(x, lowest), highest); /* no number becomes the lowest */
#elif defined(__SSE2__)
  return __builtin_ia32_minps(__builtin_ia32_maxps(x, lowest), highest);
#else
  const turnkey_sums up = x > lowest, down = ~(x > highest);
  const turnkey_sums raised = ((turnkey_sums)x & up) | ((turnkey_sums)lowest & ~up);
  return (turnkey_reals)((raised & down) | ((turnkey_sums)highest & ~down));
#endif
}
TURNKEY_INLINE void turnkey_store_bytes(void *p, turnkey_sums x, int count) {
#if TURNKEY_SHUFFLES && TURNKEY_SUM_LANES == 8
  const turnkey_chars s = (turnkey_chars)x;
  const turnkey_chars bytes =
      __builtin_shufflevector(s, s, 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24,
                              28, 0, 4, 8, 12, 16, 20, 24, 28);
#elif TURNKEY_SHUFFLES
  const turnkey_chars s = (turnkey_chars)x;
  const turnkey_chars bytes = __builtin_shufflevector(s, s, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
#else
  int8_t bytes[TURNKEY_SUM_LANES];
  for (int i = 0; i < TURNKEY_SUM_LANES; ++i) bytes[i] = (int8_t)x[i];
#endif
  __builtin_memcpy(p, &bytes, (size_t)count);
}
TURNKEY_INLINE void turnkey_store_words(void *p, const void *x, int count) {
  __builtin_memcpy(p, x, 4 * (size_t)count);
}
#else
typedef int32_t turnkey_sums;
typedef float turnkey_reals;

TURNKEY_INLINE turnkey_sums turnkey_load_sums(const int32_t *p) { return *p; }
TURNKEY_INLINE turnkey_reals turnkey_load_reals(const float *p) { return *p; }
TURNKEY_INLINE turnkey_sums turnkey_sums_all(int32_t x) { return x; }
TURNKEY_INLINE turnkey_reals turnkey_reals_all(float x) { return x; }
TURNKEY_INLINE turnkey_sums turnkey_joined(int32_t low, int32_t high) {
  return (int32_t)(((uint32_t)low & 0xffffu) | ((uint32_t)high << 16));
}
TURNKEY_INLINE turnkey_sums turnkey_pairs_int8_t(const int8_t *p) { return turnkey_joined(p[0], p[1]); }
TURNKEY_INLINE turnkey_sums turnkey_pairs_int16_t(const int16_t *p) { return turnkey_joined(p[0], p[1]); }
TURNKEY_INLINE turnkey_sums turnkey_pair(const int16_t *p) { return turnkey_joined(p[0], p[1]); }
TURNKEY_INLINE turnkey_sums turnkey_values_int8_t(const int8_t *p) { return *p; }
TURNKEY_INLINE turnkey_sums turnkey_values_uint8_t(const uint8_t *p) { return *p; }
TURNKEY_INLINE turnkey_sums turnkey_multiply_add(turnkey_sums sum, turnkey_sums a, turnkey_sums b) {
  const int16_t a_low = (int16_t)((uint32_t)a & 0xffffu), b_low = (int16_t)((uint32_t)b & 0xffffu);
  const int16_t a_high = (int16_t)((uint32_t)a >> 16), b_high = (int16_t)((uint32_t)b >> 16);
  return sum + a_low * b_low + a_high * b_high;
}
TURNKEY_INLINE turnkey_reals turnkey_reals_of(turnkey_sums x) { return (float)x; }
TURNKEY_INLINE turnkey_sums turnkey_whole(turnkey_reals x) { return (int32_t)x; }
TURNKEY_INLINE turnkey_reals turnkey_bounded(turnkey_reals x, float low, float high) {
  const float raised = x > low ? x : low; /* what is no number becomes the lowest */
  return raised < high ? raised : high;
}
TURNKEY_INLINE void turnkey_store_bytes(void *p, turnkey_sums x, int count) {
  if (count) *(uint8_t *)p = (uint8_t)((uint32_t)x & 0xffu);
}
TURNKEY_INLINE void turnkey_store_words(void *p, const void *x, int count) {
  if (count) *(uint32_t *)p = *(const uint32_t *)x;
}
#endif

/* To the nearest whole number, ties to the even one; |x| at most 2^22. 1.5 * 2^23 leaves no room for a fraction. */
TURNKEY_INLINE turnkey_reals turnkey_rounded(turnkey_reals x) {
  const turnkey_reals shifted = x + 12582912.0f;
  return shifted - 12582912.0f;
}

/* What becomes of a sum: a byte round((sum + bias) * scale) + zero within bounds, a float, or the sum itself. */
enum { TURNKEY_TO_BYTES, TURNKEY_TO_FLOATS, TURNKEY_TO_SUMS };

/* Bounds of a byte less its zero point. */
typedef struct {
  int kind;
  float low, high;
  int32_t zero;
} turnkey_target;

/* Numbers of quanta as bytes: rounded and bounded. The first count lanes. */
TURNKEY_INLINE void turnkey_put_real(turnkey_reals x, const turnkey_target *target, void *to, const int count) {
  x = turnkey_rounded(turnkey_bounded(x, target->low, target->high));
  turnkey_store_bytes(to, turnkey_whole(x) + target->zero, count);
}

/* A sum as the target wants it; to is a byte, a float or an int32. The first count lanes. */
TURNKEY_INLINE void turnkey_put(turnkey_sums sum, const int32_t *bias, const float *scale,
                                const turnkey_target *target, void *to, const int count) {
  const int lanes = count < TURNKEY_SUM_LANES ? count : TURNKEY_SUM_LANES;
  if (bias) sum = sum + turnkey_load_sums(bias);
  if (target->kind == TURNKEY_TO_SUMS) {
    turnkey_store_words(to, &sum, lanes);
    return;
  }
  const turnkey_reals x = turnkey_reals_of(sum) * turnkey_load_reals(scale);
  if (target->kind == TURNKEY_TO_FLOATS) {
    turnkey_store_words(to, &x, lanes);
    return;
  }
  turnkey_put_real(x, target, to, lanes);
}

/* Bytes as numbers of 16 bits without their zero point. */
TURNKEY_INLINE void turnkey_widen_uint8_t(const uint8_t *from, int count, int32_t zero, int16_t *to) {
  for (int i = 0; i < count; ++i) to[i] = (int16_t)(from[i] - zero);
}
TURNKEY_INLINE void turnkey_widen_int8_t(const int8_t *from, int count, int32_t zero, int16_t *to) {
  for (int i = 0; i < count; ++i) to[i] = (int16_t)(from[i] - zero);
}

/*
 * Rows of widened values by one panel of weights ([pairs][16][2], of 16 bits where wide): rows at most 8, columns at
 * most 16. One result takes size bytes.
 */
TURNKEY_INLINE void turnkey_byte_tile(const int rows, const int columns, const int pairs, const int16_t *a,
                                      const int a_row, const void *w, const int wide, const int32_t *bias,
                                      const float *scale, const turnkey_target *target, char *to, const int to_row,
                                      const int size) {
  const int vectors = (columns + TURNKEY_SUM_LANES - 1) / TURNKEY_SUM_LANES;
  turnkey_sums sums[8][TURNKEY_BYTE_PANEL / TURNKEY_SUM_LANES];
  TURNKEY_UNROLLED
  for (int i = 0; i < rows; ++i)
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j) sums[i][j] = turnkey_sums_all(0);
  for (int k = 0; k < pairs; ++k) {
    turnkey_sums row[TURNKEY_BYTE_PANEL / TURNKEY_SUM_LANES];
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j) {
      const int place = 2 * (TURNKEY_BYTE_PANEL * k + TURNKEY_SUM_LANES * j);
      row[j] = wide ? turnkey_pairs_int16_t((const int16_t *)w + place)
                    : turnkey_pairs_int8_t((const int8_t *)w + place);
    }
    TURNKEY_UNROLLED
    for (int i = 0; i < rows; ++i) {
      const turnkey_sums x = turnkey_pair(a + i * a_row + 2 * k);
      TURNKEY_UNROLLED
      for (int j = 0; j < vectors; ++j) sums[i][j] = turnkey_multiply_add(sums[i][j], x, row[j]);
    }
  }
  TURNKEY_UNROLLED
  for (int i = 0; i < rows; ++i)
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j)
      turnkey_put(sums[i][j], bias ? bias + TURNKEY_SUM_LANES * j : bias,
                  scale ? scale + TURNKEY_SUM_LANES * j : scale, target,
                  to + (i * to_row + TURNKEY_SUM_LANES * j) * size, columns - TURNKEY_SUM_LANES * j);
}

/* All panels for one tile of rows; panel_bytes is from one panel of weights to the next. */
TURNKEY_INLINE void turnkey_byte_panels(const int rows, const int columns, const int pairs, const int16_t *a,
                                        const int a_row, const void *w, const int wide, const int32_t *bias,
                                        const float *scale, const turnkey_target *target, char *to, const int to_row,
                                        const int size) {
  const ptrdiff_t panel_bytes = (ptrdiff_t)(wide ? 4 : 2) * TURNKEY_BYTE_PANEL * pairs;
  int j = 0;
  for (; j + TURNKEY_BYTE_PANEL <= columns; j += TURNKEY_BYTE_PANEL)
    turnkey_byte_tile(rows, TURNKEY_BYTE_PANEL, pairs, a, a_row,
                      (const char *)w + j / TURNKEY_BYTE_PANEL * panel_bytes, wide, bias ? bias + j : bias,
                      scale ? scale + j : scale, target, to + j * size, to_row, size);
  if (columns % TURNKEY_BYTE_PANEL)
    turnkey_byte_tile(rows, columns % TURNKEY_BYTE_PANEL, pairs, a, a_row,
                      (const char *)w + j / TURNKEY_BYTE_PANEL * panel_bytes, wide, bias ? bias + j : bias,
                      scale ? scale + j : scale, target, to + j * size, to_row, size);
}
