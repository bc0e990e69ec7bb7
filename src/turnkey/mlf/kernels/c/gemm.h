/*
 * Matrix products C = A B, with what follows them applied while a tile is still in registers.
 *
 * B is read in panels of 16 columns, which every number of lanes divides: packed ([n / 16][depth][16], zeros beyond
 * n), or rows of a matrix whose n the lanes divide. A is read value by value, so that its strides are free. Sizes are
 * constants at every call: the loops over a tile's rows and vectors vanish, and each kernel holds only the tiles that
 * it needs (two heights that share the rows evenly, and the last panel's width).
 */
#define TURNKEY_PANEL 16
#define TURNKEY_VECTORS (TURNKEY_PANEL / TURNKEY_LANES)
#if TURNKEY_LANES == 16
#define TURNKEY_ROWS 12
#elif TURNKEY_LANES == 8
#define TURNKEY_ROWS 6
#elif TURNKEY_LANES == 4 && defined(__aarch64__)
#define TURNKEY_ROWS 6
#elif TURNKEY_LANES == 4
#define TURNKEY_ROWS 2
#else
#define TURNKEY_ROWS 1
#endif

/* What follows the product: (product * scale + bias[column] + residual[row][column]), activated. NULL leaves out. */
typedef struct {
  float scale;
  const float *bias;
  const float *residual;
  ptrdiff_t residual_row;
  int activation;
  float low, high;
} turnkey_after;

/* A tile of rows x columns, columns at most 16. */
TURNKEY_INLINE void turnkey_tile(const int rows, const int columns, const int depth, const float *a, ptrdiff_t a_row,
                                 ptrdiff_t a_step, const float *b, ptrdiff_t b_step, float *c, ptrdiff_t c_row,
                                 const float *bias, const float *residual, const turnkey_after *after) {
  const int vectors = (columns + TURNKEY_LANES - 1) / TURNKEY_LANES;
  turnkey_floats sums[TURNKEY_ROWS][TURNKEY_VECTORS];
  TURNKEY_UNROLLED
  for (int i = 0; i < rows; ++i) {
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j) sums[i][j] = turnkey_all(0.0f);
  }
  for (int k = 0; k < depth; ++k) {
    turnkey_floats row[TURNKEY_VECTORS];
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j) row[j] = turnkey_load(b + k * b_step + j * TURNKEY_LANES);
    TURNKEY_UNROLLED
    for (int i = 0; i < rows; ++i) {
      const turnkey_floats x = turnkey_all(a[i * a_row + k * a_step]);
      TURNKEY_UNROLLED
      for (int j = 0; j < vectors; ++j) sums[i][j] = turnkey_fma(x, row[j], sums[i][j]);
    }
  }
  TURNKEY_UNROLLED
  for (int i = 0; i < rows; ++i) {
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j)
      turnkey_finish(sums[i][j] * after->scale, bias ? bias + j * TURNKEY_LANES : bias,
                     residual ? residual + i * after->residual_row + j * TURNKEY_LANES : residual, after->activation,
                     after->low, after->high, c + i * c_row + j * TURNKEY_LANES, columns - j * TURNKEY_LANES);
  }
}

/* A tile of one row: four sums for each column, since one would wait for itself at every step. */
TURNKEY_INLINE void turnkey_row_tile(const int columns, const int depth, const float *a, ptrdiff_t a_step,
                                     const float *b, ptrdiff_t b_step, float *c, const float *bias,
                                     const float *residual, const turnkey_after *after) {
  const int vectors = (columns + TURNKEY_LANES - 1) / TURNKEY_LANES;
  turnkey_floats sums[4][TURNKEY_VECTORS];
  TURNKEY_UNROLLED
  for (int i = 0; i < 4; ++i) {
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j) sums[i][j] = turnkey_all(0.0f);
  }
  for (int k = 0; k < depth / 4 * 4; k += 4) {
    TURNKEY_UNROLLED
    for (int i = 0; i < 4; ++i) {
      const turnkey_floats x = turnkey_all(a[(k + i) * a_step]);
      TURNKEY_UNROLLED
      for (int j = 0; j < vectors; ++j)
        sums[i][j] = turnkey_fma(x, turnkey_load(b + (k + i) * b_step + j * TURNKEY_LANES), sums[i][j]);
    }
  }
  for (int k = depth / 4 * 4; k < depth; ++k) {
    const turnkey_floats x = turnkey_all(a[k * a_step]);
    TURNKEY_UNROLLED
    for (int j = 0; j < vectors; ++j)
      sums[0][j] = turnkey_fma(x, turnkey_load(b + k * b_step + j * TURNKEY_LANES), sums[0][j]);
  }
  TURNKEY_UNROLLED
  for (int j = 0; j < vectors; ++j) {
    const turnkey_floats sum = (sums[0][j] + sums[1][j]) + (sums[2][j] + sums[3][j]);
    turnkey_finish(sum * after->scale, bias ? bias + j * TURNKEY_LANES : bias,
                   residual ? residual + j * TURNKEY_LANES : residual, after->activation, after->low, after->high,
                   c + j * TURNKEY_LANES, columns - j * TURNKEY_LANES);
  }
}

/* All rows of one panel, by tiles of at most so many. */
TURNKEY_INLINE void turnkey_panel(const int most, const int m, const int columns, const int depth, const float *a,
                                  ptrdiff_t a_row, ptrdiff_t a_step, const float *b, ptrdiff_t b_step, float *c,
                                  ptrdiff_t c_row, const float *bias, const float *residual,
                                  const turnkey_after *after) {
  const int height = most < TURNKEY_ROWS ? most : TURNKEY_ROWS;
  const int blocks = (m + height - 1) / height, low = m / blocks, higher = m % blocks;
  int i = 0;
  if (m == 1) {
    turnkey_row_tile(columns, depth, a, a_step, b, b_step, c, bias, residual, after);
    return;
  }
  for (; i < higher * (low + 1); i += low + 1)
    turnkey_tile(low + 1, columns, depth, a + i * a_row, a_row, a_step, b, b_step, c + i * c_row, c_row, bias,
                 residual ? residual + i * after->residual_row : residual, after);
  for (; i < m; i += low)
    turnkey_tile(low, columns, depth, a + i * a_row, a_row, a_step, b, b_step, c + i * c_row, c_row, bias,
                 residual ? residual + i * after->residual_row : residual, after);
}

/*
 * C[m][n] = A[m][depth] B[depth][n]; b_panel is from one panel to the next, b_step from one row of B to the next.
 * Tiles have at most so many rows, and no more than the registers hold.
 */
TURNKEY_INLINE void turnkey_gemm(const int most, const int m, const int n, const int depth, const float *a,
                                 ptrdiff_t a_row, ptrdiff_t a_step, const float *b, ptrdiff_t b_panel,
                                 ptrdiff_t b_step, float *c, ptrdiff_t c_row, turnkey_after after) {
  const int whole = n / TURNKEY_PANEL * TURNKEY_PANEL;
  for (int j = 0; j < whole; j += TURNKEY_PANEL)
    turnkey_panel(most, m, TURNKEY_PANEL, depth, a, a_row, a_step, b + j / TURNKEY_PANEL * b_panel, b_step, c + j,
                  c_row, after.bias ? after.bias + j : after.bias,
                  after.residual ? after.residual + j : after.residual, &after);
  if (n > whole)
    turnkey_panel(most, m, n - whole, depth, a, a_row, a_step, b + whole / TURNKEY_PANEL * b_panel, b_step, c + whole,
                  c_row, after.bias ? after.bias + whole : after.bias,
                  after.residual ? after.residual + whole : after.residual, &after);
}

/* B[depth][n], of any strides, into panels: for an operand that is computed, where its rows cannot be read at once. */
TURNKEY_INLINE void turnkey_pack(const int depth, const int n, const float *b, ptrdiff_t b_row, ptrdiff_t b_column,
                                 float *panels) {
  for (int j = 0; j < n; j += TURNKEY_PANEL) {
    const int columns = n - j < TURNKEY_PANEL ? n - j : TURNKEY_PANEL;
    float *panel = panels + (ptrdiff_t)j * depth;
    if (b_column == 1)
      for (int k = 0; k < depth; ++k) {
        for (int i = 0; i < columns; ++i) panel[k * TURNKEY_PANEL + i] = b[k * b_row + j + i];
        for (int i = columns; i < TURNKEY_PANEL; ++i) panel[k * TURNKEY_PANEL + i] = 0.0f;
      }
    else {
      for (int i = 0; i < columns; ++i)
        for (int k = 0; k < depth; ++k) panel[k * TURNKEY_PANEL + i] = b[k * b_row + (j + i) * b_column];
      for (int i = columns; i < TURNKEY_PANEL; ++i)
        for (int k = 0; k < depth; ++k) panel[k * TURNKEY_PANEL + i] = 0.0f;
    }
  }
}
