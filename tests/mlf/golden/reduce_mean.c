/* x -> y: float -> float; scratch 0 */
static void @reducemean(const float input0[2][3][4], float output[2][1][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 1; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                float acc = 0.0f;
                for (idx_t r0 = 0; r0 < 3; ++r0) {
                    acc += input0[i0][r0][i2];
                }
                output[i0][i1][i2] = acc / 3.0f;
            }
        }
    }
}
@reducemean((const float (*)[3][4])(const void *)in0, (float (*)[1][4])(void *)out0);
