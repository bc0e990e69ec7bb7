/*
 * Convolution of channel-last images, with what follows it applied while a tile is still in registers.
 *
 * A tile is some places of the result by 16 output channels, which every number of lanes divides. Weights are packed
 * [group][outputs / 16][window][channels][16], zeros beyond the outputs: the order in which a tile reads them. Each
 * place of a tile has a pointer to the first value of its window, so that a tile may cross rows. All sizes are
 * constants where these functions become part of a kernel: the loops over places and vectors vanish.
 */
#define TURNKEY_BLOCK 16
#define TURNKEY_PLACES 8
#if TURNKEY_LANES == 1
#define TURNKEY_SUMS 2
#elif defined(__AVX512F__) || defined(__aarch64__)
#define TURNKEY_SUMS 24
#else
#define TURNKEY_SUMS 12
#endif

/*
 * Sizes in values and places; channels and outputs are those of one group, rows those of the result in one band, places
 * the most of a tile.
 */
typedef struct {
  int batch, groups, channels, outputs;
  int height, width, result_height, result_width;
  int window_height, window_width, down, across, dilation_down, dilation_across, above, left;
  int rows, row_width, is_copied, is_row_major, places;
  int activation;
  float low, high;
} turnkey_convolution;

TURNKEY_INLINE void turnkey_convolution_tile(const turnkey_convolution *c, const int count, const int valid,
                                             const float *const *at, const float *w, const float *bias,
                                             const float *side, float *out) {
  const int vectors = (valid + TURNKEY_LANES - 1) / TURNKEY_LANES, pixel = c->groups * c->channels;
  const int is_run = c->groups == 1 && c->dilation_across == 1; /* a window's row lies without gaps */
  const int run = is_run ? c->window_width * c->channels : c->channels, runs = is_run ? 1 : c->window_width;
  turnkey_floats sums[TURNKEY_PLACES][TURNKEY_BLOCK / TURNKEY_LANES];
  TURNKEY_UNROLLED
  for (int i = 0; i < count; ++i)
    TURNKEY_UNROLLED
    for (int v = 0; v < vectors; ++v) sums[i][v] = turnkey_all(0.0f);
  for (int y = 0; y < c->window_height; ++y)
    for (int x = 0; x < runs; ++x) {
      const ptrdiff_t step = ((ptrdiff_t)y * c->dilation_down * c->row_width + x * c->dilation_across) * pixel;
      const float *from[TURNKEY_PLACES];
      TURNKEY_UNROLLED
      for (int i = 0; i < count; ++i) from[i] = at[i] + step;
      for (int k = 0; k < run; ++k) {
        turnkey_floats weights[TURNKEY_BLOCK / TURNKEY_LANES];
        TURNKEY_UNROLLED
        for (int v = 0; v < vectors; ++v) weights[v] = turnkey_load(w + v * TURNKEY_LANES);
        w += TURNKEY_BLOCK;
        TURNKEY_UNROLLED
        for (int i = 0; i < count; ++i) {
          const turnkey_floats value = turnkey_all(from[i][k]);
          TURNKEY_UNROLLED
          for (int v = 0; v < vectors; ++v) sums[i][v] = turnkey_fma(value, weights[v], sums[i][v]);
        }
      }
    }
  TURNKEY_UNROLLED
  for (int i = 0; i < count; ++i)
    TURNKEY_UNROLLED
    for (int v = 0; v < vectors; ++v) {
      const ptrdiff_t place = (ptrdiff_t)i * c->groups * c->outputs + v * TURNKEY_LANES;
      turnkey_finish(sums[i][v], bias ? bias + v * TURNKEY_LANES : bias, side ? side + place : side, c->activation,
                     c->low, c->high, out + place, valid - v * TURNKEY_LANES);
    }
}

/* Pointers to the windows of some places of a band. */
TURNKEY_INLINE void turnkey_convolution_at(const turnkey_convolution *c, const int count, int place, const float *x,
                                           const float **at) {
  const ptrdiff_t pixel = c->groups * c->channels, across = c->across * pixel, down = c->down * c->row_width * pixel;
  TURNKEY_UNROLLED
  for (int i = 0; i < count; ++i, ++place)
    at[i] = x + place / c->result_width * down + place % c->result_width * across;
}

/* One block of channels over all places of a band: tiles of two sizes that share them evenly. */
TURNKEY_INLINE void turnkey_convolution_block(const turnkey_convolution *c, const int rows, const int valid,
                                              const float *x, const float *w, const float *bias, const float *side,
                                              float *out) {
  const int vectors = (valid + TURNKEY_LANES - 1) / TURNKEY_LANES, width = c->groups * c->outputs;
  const int room = TURNKEY_SUMS / vectors;
  const int most = room > c->places ? c->places : room > 0 ? room : 1, places = rows * c->result_width;
  const int tiles = (places + most - 1) / most, few = places / tiles, longer = places % tiles * (few + 1);
  const float *at[TURNKEY_PLACES];
  for (int place = 0; place < longer; place += few + 1) {
    turnkey_convolution_at(c, few + 1, place, x, at);
    turnkey_convolution_tile(c, few + 1, valid, at, w, bias, side ? side + (ptrdiff_t)place * width : side,
                             out + (ptrdiff_t)place * width);
  }
  for (int place = longer; place < places; place += few) {
    turnkey_convolution_at(c, few, place, x, at);
    turnkey_convolution_tile(c, few, valid, at, w, bias, side ? side + (ptrdiff_t)place * width : side,
                             out + (ptrdiff_t)place * width);
  }
}

TURNKEY_INLINE void turnkey_convolution_band(const turnkey_convolution *c, const int rows, const float *x,
                                             const float *w, const float *bias, const float *side, float *out) {
  const int whole = c->outputs / TURNKEY_BLOCK, rest = c->outputs % TURNKEY_BLOCK;
  const ptrdiff_t block = (ptrdiff_t)c->window_height * c->window_width * c->channels * TURNKEY_BLOCK;
  for (int g = 0; g < c->groups; ++g) {
    const float *from = x + g * c->channels, *weights = w + (whole + (rest > 0)) * block * g;
    const ptrdiff_t first = (ptrdiff_t)g * c->outputs;
    for (int b = 0; b < whole; ++b) {
      const ptrdiff_t start = first + b * TURNKEY_BLOCK;
      turnkey_convolution_block(c, rows, TURNKEY_BLOCK, from, weights + b * block, bias ? bias + start : bias,
                                side ? side + start : side, out + start);
    }
    if (rest) {
      const ptrdiff_t start = first + whole * TURNKEY_BLOCK;
      turnkey_convolution_block(c, rows, rest, from, weights + whole * block, bias ? bias + start : bias,
                                side ? side + start : side, out + start);
    }
  }
}

/* Rows of one image with zeros around them, channels last, whatever its own layout is. */
TURNKEY_INLINE void turnkey_convolution_copy(const turnkey_convolution *c, const int first, const int rows,
                                             const float *in, float *to) {
  const int pixel = c->groups * c->channels, left = c->left < c->row_width ? c->left : c->row_width;
  const int reach = c->row_width - left, inside = c->width < reach ? c->width : reach, right = reach - inside;
  const size_t row = (size_t)c->row_width * pixel;
  for (int y = first; y < first + rows; ++y, to += row) {
    float *inner = to + left * pixel;
    if (y < 0 || y >= c->height) {
      memset(to, 0, sizeof(float) * row);
      continue;
    }
    if (left) memset(to, 0, sizeof(float) * (size_t)(left * pixel));
    if (right) memset(inner + inside * pixel, 0, sizeof(float) * (size_t)(right * pixel));
    if (c->is_row_major) {
      for (int k = 0; k < pixel; ++k) {
        const float *from = in + ((ptrdiff_t)k * c->height + y) * c->width;
        for (int x = 0; x < inside; ++x) inner[x * pixel + k] = from[x];
      }
    } else
      memcpy(inner, in + (ptrdiff_t)y * c->width * pixel, sizeof(float) * (size_t)(inside * pixel));
  }
}

/* The whole: band by band through scratch where rows are copied; one band, read in place, where they are not. */
TURNKEY_INLINE void turnkey_convolve(const turnkey_convolution *c, const float *in, const float *w, const float *bias,
                                     const float *side, float *out, float *scratch) {
  const ptrdiff_t row = (ptrdiff_t)c->result_width * c->groups * c->outputs;
  const int read = (c->rows - 1) * c->down + (c->window_height - 1) * c->dilation_down + 1;
  const int rest = c->result_height % c->rows, whole = c->result_height - rest;
  for (int n = 0; n < c->batch; ++n) {
    const float *image = in + (ptrdiff_t)n * c->height * c->width * c->groups * c->channels;
    const ptrdiff_t first = n * c->result_height * row;
    for (int y = 0; y < whole; y += c->rows) {
      if (c->is_copied) turnkey_convolution_copy(c, y * c->down - c->above, read, image, scratch);
      turnkey_convolution_band(c, c->rows, c->is_copied ? scratch : image, w, bias,
                               side ? side + first + y * row : side, out + first + y * row);
    }
    if (rest) {
      turnkey_convolution_copy(c, whole * c->down - c->above, read - (c->rows - rest) * c->down, image, scratch);
      turnkey_convolution_band(c, rest, scratch, w, bias, side ? side + first + whole * row : side,
                               out + first + whole * row);
    }
  }
}
