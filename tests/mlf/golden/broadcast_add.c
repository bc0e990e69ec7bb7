/* x z -> y: float, float -> float; scratch 0 */
static inline float ref_scalar_f32_add(float a, float b) {
    return a + b;
}
static void @add(const float input0[2][3][4], const float input1[3][1], float output[2][3][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                output[i0][i1][i2] = ref_scalar_f32_add(input0[i0][i1][i2], input1[i1][0]);
            }
        }
    }
}
@add((const float (*)[3][4])(const void *)in0, (const float (*)[1])(const void *)in1, (float (*)[3][4])(void *)out0);
