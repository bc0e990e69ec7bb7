/* x s b m v -> y: float, float, float, float, float -> float; scratch 0 */
static inline float ref_scalar_f32_sqrt(float a) {
    return sqrtf(a);
}
static void @batchnormalization(const float input0[1][4][6][6], const float scale[4], const float bias[4], const float mean[4], const float variance[4], float output[1][4][6][6]) {
    for (idx_t i0 = 0; i0 < 1; ++i0) {
        for (idx_t i1 = 0; i1 < 4; ++i1) {
            for (idx_t i2 = 0; i2 < 6; ++i2) {
                for (idx_t i3 = 0; i3 < 6; ++i3) {
                    idx_t c = i1;
                    float denom = ref_scalar_f32_sqrt(variance[c] + 1e-05f);
                    output[i0][i1][i2][i3] = (input0[i0][i1][i2][i3] - mean[c]) / denom * scale[c] + bias[c];
                }
            }
        }
    }
}
@batchnormalization((const float (*)[4][6][6])(const void *)in0, in1, in2, in3, in4, (float (*)[4][6][6])(void *)out0);
