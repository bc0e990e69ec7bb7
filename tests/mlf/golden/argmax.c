/* x -> y: float -> int64_t; scratch 0 */
static void @argmax(const float input0[2][3][4], int64_t output[2][1][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 1; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                float best = input0[i0][0][i2];
                int64_t best_index = 0;
                for (idx_t r0 = 1; r0 < 3; ++r0) {
                    float candidate = input0[i0][r0][i2];
                    if (candidate > best) {
                        best = candidate;
                        best_index = (int64_t)r0;
                    }
                }
                output[i0][i1][i2] = best_index;
            }
        }
    }
}
@argmax((const float (*)[3][4])(const void *)in0, (int64_t (*)[1][4])(void *)out0);
