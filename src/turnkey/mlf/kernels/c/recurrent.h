/*
 * One step of recurrent layers behind their products: the gates of a row of hidden values, some lanes at a time. A
 * vector's values are read before they are written, so that a state may be replaced in place.
 */

/* Does something with all lanes as often as a row has them, and once with the rest: DO(first, count). */
#define TURNKEY_ALONG(length, DO)                                                              \
  for (int at = 0; at + TURNKEY_LANES <= (length); at += TURNKEY_LANES) DO(at, TURNKEY_LANES); \
  if ((length) % TURNKEY_LANES) DO((length) / TURNKEY_LANES * TURNKEY_LANES, (length) % TURNKEY_LANES)

/* gates: input, output, forget, candidate, each a row; cell and state are replaced. */
TURNKEY_INLINE void turnkey_lstm_lanes(const int hidden, const float *gates, float *cell, float *state,
                                       const int count) {
  const turnkey_floats input = turnkey_sigmoid(turnkey_load_some(gates, count));
  const turnkey_floats output = turnkey_sigmoid(turnkey_load_some(gates + hidden, count));
  const turnkey_floats forget = turnkey_sigmoid(turnkey_load_some(gates + 2 * hidden, count));
  const turnkey_floats candidate = turnkey_tanh(turnkey_load_some(gates + 3 * hidden, count));
  const turnkey_floats next = turnkey_fma(forget, turnkey_load_some(cell, count), input * candidate);
  turnkey_store_some(cell, next, count);
  turnkey_store_some(state, output * turnkey_tanh(next), count);
}
TURNKEY_INLINE void turnkey_lstm_row(const int hidden, const float *gates, float *cell, float *state) {
#define TURNKEY_DO(at, count) turnkey_lstm_lanes(hidden, gates + (at), cell + (at), state + (at), count)
  TURNKEY_ALONG(hidden, TURNKEY_DO);
#undef TURNKEY_DO
}

/* state = update before + (1 - update) candidate, from the update gate's sum and the candidate's. */
TURNKEY_INLINE void turnkey_gru_lanes(turnkey_floats update, turnkey_floats candidate, const float *before,
                                      float *state, const int count) {
  const turnkey_floats share = turnkey_sigmoid(update), fresh = turnkey_tanh(candidate);
  turnkey_store_some(state, turnkey_fma(share, turnkey_load_some(before, count) - fresh, fresh), count);
}

/* Products of the input and of the state: update, reset, candidate, each a row; the reset gate behind the product. */
TURNKEY_INLINE void turnkey_gru_late_lanes(const int hidden, const float *of_input, const float *of_state,
                                           const float *before, float *state, const int count) {
  const turnkey_floats reset =
      turnkey_sigmoid(turnkey_load_some(of_input + hidden, count) + turnkey_load_some(of_state + hidden, count));
  const turnkey_floats candidate = turnkey_fma(reset, turnkey_load_some(of_state + 2 * hidden, count),
                                               turnkey_load_some(of_input + 2 * hidden, count));
  turnkey_gru_lanes(turnkey_load_some(of_input, count) + turnkey_load_some(of_state, count), candidate, before, state,
                    count);
}
TURNKEY_INLINE void turnkey_gru_late_row(const int hidden, const float *of_input, const float *of_state,
                                         const float *before, float *state) {
#define TURNKEY_DO(at, count) \
  turnkey_gru_late_lanes(hidden, of_input + (at), of_state + (at), before + (at), state + (at), count)
  TURNKEY_ALONG(hidden, TURNKEY_DO);
#undef TURNKEY_DO
}

/* The reset gate in front of the product: the state that it leaves, from its sum. */
TURNKEY_INLINE void turnkey_gru_reset_lanes(const float *sum, const float *before, float *left, const int count) {
  turnkey_store_some(left, turnkey_sigmoid(turnkey_load_some(sum, count)) * turnkey_load_some(before, count), count);
}
TURNKEY_INLINE void turnkey_gru_reset_row(const int hidden, const float *sum, const float *before, float *left) {
#define TURNKEY_DO(at, count) turnkey_gru_reset_lanes(sum + (at), before + (at), left + (at), count)
  TURNKEY_ALONG(hidden, TURNKEY_DO);
#undef TURNKEY_DO
}
TURNKEY_INLINE void turnkey_gru_early_row(const int hidden, const float *update, const float *candidate,
                                          const float *before, float *state) {
#define TURNKEY_DO(at, count)                                                                            \
  turnkey_gru_lanes(turnkey_load_some(update + (at), count), turnkey_load_some(candidate + (at), count), \
                    before + (at), state + (at), count)
  TURNKEY_ALONG(hidden, TURNKEY_DO);
#undef TURNKEY_DO
}
