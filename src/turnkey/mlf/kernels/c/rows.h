/*
 * What is computed over a whole row: softmax, normalisation, sums. Lengths are constants at every call.
 */
/* A NaN among the values may get lost. */
TURNKEY_INLINE float turnkey_row_largest(const float *from, const int count) {
  if (count < TURNKEY_LANES) {
    float one = from[0];
    for (int i = 1; i < count; ++i) one = from[i] > one ? from[i] : one;
    return one;
  }
  turnkey_floats largest = turnkey_load(from);
  for (int i = TURNKEY_LANES; i + TURNKEY_LANES <= count; i += TURNKEY_LANES)
    largest = turnkey_max(largest, turnkey_load(from + i));
  if (count % TURNKEY_LANES) largest = turnkey_max(largest, turnkey_load(from + count - TURNKEY_LANES));
  return turnkey_largest(largest);
}

/* NaN where one of the values is, else 0. */
TURNKEY_INLINE float turnkey_row_nan(const float *from, const int count) {
  turnkey_bits strange = turnkey_is_nan(turnkey_load_part(from, count % TURNKEY_LANES));
  for (int i = count % TURNKEY_LANES; i < count; i += TURNKEY_LANES) strange |= turnkey_is_nan(turnkey_load(from + i));
  return turnkey_sum(turnkey_as_floats(strange & 0x7fc00000u));
}

TURNKEY_INLINE float turnkey_row_sum(const float *from, const int count) {
  turnkey_floats total = turnkey_all(0.0f);
  int i = 0;
  for (; i + TURNKEY_LANES <= count; i += TURNKEY_LANES) total = total + turnkey_load(from + i);
  if (count % TURNKEY_LANES) total = total + turnkey_load_part(from + i, count % TURNKEY_LANES);
  return turnkey_sum(total);
}

/* The sum of squared distances from a value. */
TURNKEY_INLINE float turnkey_row_squares(const float *from, const int count, const float center) {
  turnkey_floats total = turnkey_all(0.0f);
  int i = 0;
  for (; i + TURNKEY_LANES <= count; i += TURNKEY_LANES) {
    const turnkey_floats apart = turnkey_load(from + i) - center;
    total = turnkey_fma(apart, apart, total);
  }
  float rest = 0.0f;
  for (; i < count; ++i) rest += (from[i] - center) * (from[i] - center);
  return turnkey_sum(total) + rest;
}

/* exp(x - largest) over their sum. */
TURNKEY_INLINE void turnkey_row_softmax(const float *from, float *to, const int count) {
  const float largest = turnkey_row_largest(from, count);
  turnkey_floats total = turnkey_all(0.0f);
  int i = 0;
  for (; i + TURNKEY_LANES <= count; i += TURNKEY_LANES) {
    const turnkey_floats power = turnkey_exp_of_negative(turnkey_load(from + i) - largest);
    turnkey_store(to + i, power);
    total = total + power;
  }
  if (count % TURNKEY_LANES) {
    const turnkey_floats rest = turnkey_load_part(from + i, count % TURNKEY_LANES) - largest;
    turnkey_store_part(to + i, turnkey_exp_of_negative(rest), count % TURNKEY_LANES);
    total = total + turnkey_load_part(to + i, count % TURNKEY_LANES);
  }
  const float share = 1.0f / turnkey_sum(total);
  for (i = 0; i + TURNKEY_LANES <= count; i += TURNKEY_LANES) turnkey_store(to + i, turnkey_load(to + i) * share);
  for (; i < count; ++i) to[i] *= share;
}

/* (x - mean) / sqrt(variance + epsilon) * scale + offset; scale and offset have one value per column, or are NULL. */
TURNKEY_INLINE void turnkey_row_norm(const float *from, float *to, const int count, const float epsilon,
                                     const float *scale, const float *offset) {
  const float mean = turnkey_row_sum(from, count) * (1.0f / (float)count);
  const float variance = turnkey_row_squares(from, count, mean) * (1.0f / (float)count);
  const turnkey_floats spread = turnkey_rsqrt(turnkey_all(variance + epsilon));
  int i = 0;
  for (; i + TURNKEY_LANES <= count; i += TURNKEY_LANES) {
    turnkey_floats x = (turnkey_load(from + i) - mean) * spread;
    if (scale) x = x * turnkey_load(scale + i);
    if (offset) x = x + turnkey_load(offset + i);
    turnkey_store(to + i, x);
  }
  for (; i < count; ++i) {
    float x = (from[i] - mean) * turnkey_lane(spread, 0);
    if (scale) x *= scale[i];
    if (offset) x += offset[i];
    to[i] = x;
  }
}
