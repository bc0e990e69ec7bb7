/* x -> y: float -> float; scratch 0 */
static void @transpose(const float input0[2][3][4], float output[4][2][3]) {
    for (idx_t i0 = 0; i0 < 4; ++i0) {
        for (idx_t i1 = 0; i1 < 2; ++i1) {
            for (idx_t i2 = 0; i2 < 3; ++i2) {
                output[i0][i1][i2] = input0[i1][i2][i0];
            }
        }
    }
}
@transpose((const float (*)[3][4])(const void *)in0, (float (*)[2][3])(void *)out0);
