/* x -> y: float -> float; scratch 0 */
static inline float ref_scalar_f32_sigmoid(float a) {
    return 1.0f / (1.0f + expf(-a));
}
static void @sigmoid(const float input0[2][3][4], float output[2][3][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                output[i0][i1][i2] = ref_scalar_f32_sigmoid(input0[i0][i1][i2]);
            }
        }
    }
}
@sigmoid((const float (*)[3][4])(const void *)in0, (float (*)[3][4])(void *)out0);
