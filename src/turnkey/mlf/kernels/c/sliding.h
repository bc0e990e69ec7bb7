/*
 * Windows that slide over each channel alone: depthwise convolution, maximum and mean, of channel-last images.
 *
 * Places whose windows lie inside the image from left to right are computed several at a time; what a window lacks
 * above and below shortens its loop over rows. At the left and right edge one place is computed at a time, several
 * vectors of channels together, with a shorter loop over columns too. Nothing is copied, nothing is padded.
 */
#define TURNKEY_WEIGHTED 0
#define TURNKEY_MAXIMUM 1
#define TURNKEY_MEAN 2
#define TURNKEY_MEAN_WITH_PADDING 3
#define TURNKEY_SIDE_BY_SIDE 6
#define TURNKEY_DEEP 4

typedef struct {
  int batch, channels, height, width, result_height, result_width;
  int window_height, window_width, down, across, dilation_down, dilation_across, above, left;
  int kind, activation;
  float low, high;
} turnkey_sliding;

/* Part of a window: rows and columns of it that lie inside of the image, ends excluded. */
typedef struct {
  int top, bottom, first, last;
} turnkey_part;

/* Some places side by side by some vectors of channels; x and w where the window begins, c the first channel. */
TURNKEY_INLINE void turnkey_slide(const turnkey_sliding *s, const int count, const int vectors, const int valid,
                                  turnkey_part part, const float *x, const float *w, const float *bias,
                                  const float *side, float *out) {
  const ptrdiff_t row = (ptrdiff_t)s->dilation_down * s->width * s->channels;
  const ptrdiff_t column = (ptrdiff_t)s->dilation_across * s->channels, place = (ptrdiff_t)s->across * s->channels;
  const int padded = (s->channels + 15) / 16 * 16;
  const float share = 1.0f / (float)(s->kind == TURNKEY_MEAN ? (part.bottom - part.top) * (part.last - part.first)
                                                             : s->window_height * s->window_width);
  turnkey_floats sums[TURNKEY_SIDE_BY_SIDE][TURNKEY_DEEP];
  TURNKEY_UNROLLED
  for (int i = 0; i < count; ++i)
    TURNKEY_UNROLLED
    for (int v = 0; v < vectors; ++v)
      sums[i][v] = turnkey_all(s->kind == TURNKEY_MAXIMUM ? -TURNKEY_INFINITY : 0.0f);
  for (int b = part.top; b < part.bottom; ++b)
    for (int a = part.first; a < part.last; ++a) {
      const float *from = x + b * row + a * column;
      turnkey_floats weights[TURNKEY_DEEP];
      TURNKEY_UNROLLED
      for (int v = 0; v < vectors; ++v)
        weights[v] = s->kind == TURNKEY_WEIGHTED
                         ? turnkey_load(w + (ptrdiff_t)(b * s->window_width + a) * padded + v * TURNKEY_LANES)
                         : turnkey_all(share);
      TURNKEY_UNROLLED
      for (int i = 0; i < count; ++i)
        TURNKEY_UNROLLED
        for (int v = 0; v < vectors; ++v) {
          const turnkey_floats value = turnkey_load_some(from + i * place + v * TURNKEY_LANES, valid);
          sums[i][v] = s->kind == TURNKEY_MAXIMUM ? turnkey_max(value, sums[i][v]) /* NaN is passed over */
                                                  : turnkey_fma(value, weights[v], sums[i][v]);
        }
    }
  TURNKEY_UNROLLED
  for (int i = 0; i < count; ++i)
    TURNKEY_UNROLLED
    for (int v = 0; v < vectors; ++v) {
      const ptrdiff_t there = (ptrdiff_t)i * s->channels + v * TURNKEY_LANES;
      turnkey_finish(sums[i][v], bias ? bias + v * TURNKEY_LANES : bias, side ? side + there : side, s->activation,
                     s->low, s->high, out + there, valid);
    }
}

/* All channels of some places side by side; deep, the vectors taken together as long as there are so many. */
TURNKEY_INLINE void turnkey_slide_channels(const turnkey_sliding *s, const int count, const int deep, turnkey_part part,
                                           const float *x, const float *w, const float *bias, const float *side,
                                           float *out) {
  const int rest = s->channels % TURNKEY_LANES, whole = s->channels - rest;
  int c = 0;
  for (; c + deep * TURNKEY_LANES <= whole; c += deep * TURNKEY_LANES)
    turnkey_slide(s, count, deep, TURNKEY_LANES, part, x + c, w ? w + c : w, bias ? bias + c : bias,
                  side ? side + c : side, out + c);
  if (deep > 1)
    for (; c < whole; c += TURNKEY_LANES)
      turnkey_slide(s, count, 1, TURNKEY_LANES, part, x + c, w ? w + c : w, bias ? bias + c : bias,
                    side ? side + c : side, out + c);
  if (rest)
    turnkey_slide(s, count, 1, rest, part, x + whole, w ? w + whole : w, bias ? bias + whole : bias,
                  side ? side + whole : side, out + whole);
}

/* Steps of a window that lie below a place of the image; of those before it, rounded up. */
TURNKEY_INLINE int turnkey_steps(int distance, int step) { return distance > 0 ? (distance + step - 1) / step : 0; }
TURNKEY_INLINE int turnkey_least(int a, int b) { return a < b ? a : b; }

/* Places from .. to of one row at its left or right edge, one by one. */
TURNKEY_INLINE void turnkey_slide_edge(const turnkey_sliding *s, const int from, const int to, turnkey_part part,
                                       const float *row, const float *w, const float *bias, const float *side,
                                       float *out) {
  for (int i = from; i < to; ++i) {
    const int start = i * s->across - s->left;
    part.first = turnkey_steps(-start, s->dilation_across);
    part.last = turnkey_least(s->window_width, turnkey_steps(s->width - start, s->dilation_across));
    turnkey_slide_channels(s, 1, TURNKEY_DEEP, part, row + (ptrdiff_t)start * s->channels, w, bias,
                           side ? side + (ptrdiff_t)i * s->channels : side, out + (ptrdiff_t)i * s->channels);
  }
}

TURNKEY_INLINE void turnkey_slide_over(const turnkey_sliding *s, const float *in, const float *w, const float *bias,
                                       const float *side, float *out) {
  const int reach = (s->window_width - 1) * s->dilation_across + 1, room = s->width - reach + s->left;
  const int begin = turnkey_least(s->result_width, (s->left + s->across - 1) / s->across);
  const int past = room < 0 ? begin : turnkey_least(s->result_width, room / s->across + 1);
  const int end = past > begin ? past : begin, places = end - begin;
  const int tiles = (places + TURNKEY_SIDE_BY_SIDE - 1) / TURNKEY_SIDE_BY_SIDE;
  const int few = tiles ? places / tiles : 0, longer = tiles ? begin + places % tiles * (few + 1) : begin;
  const ptrdiff_t row = (ptrdiff_t)s->result_width * s->channels;
  for (int n = 0; n < s->batch; ++n)
    for (int y = 0; y < s->result_height; ++y) {
      const int start = y * s->down - s->above;
      const float *from = in + ((ptrdiff_t)n * s->height + start) * s->width * s->channels;
      float *to = out + ((ptrdiff_t)n * s->result_height + y) * row;
      const float *added = side ? side + ((ptrdiff_t)n * s->result_height + y) * row : side;
      turnkey_part part;
      part.top = turnkey_steps(-start, s->dilation_down);
      part.bottom = turnkey_least(s->window_height, turnkey_steps(s->height - start, s->dilation_down));
      turnkey_slide_edge(s, 0, begin, part, from, w, bias, added, to);
      part.first = 0;
      part.last = s->window_width;
      for (int x = begin; x < longer; x += few + 1)
        turnkey_slide_channels(s, few + 1, 1, part, from + ((ptrdiff_t)x * s->across - s->left) * s->channels, w, bias,
                               added ? added + (ptrdiff_t)x * s->channels : added, to + (ptrdiff_t)x * s->channels);
      if (few)
        for (int x = longer; x < end; x += few)
          turnkey_slide_channels(s, few, 1, part, from + ((ptrdiff_t)x * s->across - s->left) * s->channels, w, bias,
                                 added ? added + (ptrdiff_t)x * s->channels : added, to + (ptrdiff_t)x * s->channels);
      turnkey_slide_edge(s, end, s->result_width, part, from, w, bias, added, to);
    }
}
