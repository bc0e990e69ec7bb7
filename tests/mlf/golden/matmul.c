/* x w -> y: float, float -> float; scratch 0 */
static void @matmul(const float input0[2][3][4], const float input1[4][5], float output[2][3][5]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 5; ++i2) {
                float acc = 0.0f;
                for (idx_t k = 0; k < 4; ++k) {
                    acc += input0[i0][i1][k] * input1[k][i2];
                }
                output[i0][i1][i2] = acc;
            }
        }
    }
}
@matmul((const float (*)[3][4])(const void *)in0, (const float (*)[5])(const void *)in1, (float (*)[3][5])(void *)out0);
