/* A matrix with rows and columns exchanged, in blocks whose lines stay in the cache. */
TURNKEY_INLINE void turnkey_transpose(const int rows, const int columns, const float *from, ptrdiff_t from_row,
                                      float *to, ptrdiff_t to_row) {
  for (int i = 0; i < rows; i += 16)
    for (int j = 0; j < columns; j += 16)
      for (int y = j; y < columns && y < j + 16; ++y)
        for (int x = i; x < rows && x < i + 16; ++x) to[y * to_row + x] = from[x * from_row + y];
}
