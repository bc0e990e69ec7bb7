/* x -> y: float -> int32_t; scratch 0 */
static void @cast(const float input0[2][3][4], int32_t output[2][3][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                output[i0][i1][i2] = (int32_t)input0[i0][i1][i2];
            }
        }
    }
}
@cast((const float (*)[3][4])(const void *)in0, (int32_t (*)[3][4])(void *)out0);
