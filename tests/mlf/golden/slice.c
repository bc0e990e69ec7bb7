/* x -> y: float -> float; scratch 0 */
static void @slice(const float input0[2][3][4], float output[2][3][2]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 2; ++i2) {
                output[i0][i1][i2] = input0[i0][i1][1 + i2];
            }
        }
    }
}
@slice((const float (*)[3][4])(const void *)in0, (float (*)[3][2])(void *)out0);
