/* x s b -> y: float, float, float -> float; scratch 0 */
static inline float ref_scalar_f32_sqrt(float a) {
    return sqrtf(a);
}
static void @layernormalization(const float input0[2][3][4], const float scale[4], const float bias[4], float output[2][3][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            float sum = 0.0f;
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                sum += (float)input0[i0][i1][i2];
            }
            float mean = sum / 4;
            float var = 0.0f;
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                float diff = (float)input0[i0][i1][i2] - mean;
                var += diff * diff;
            }
            var = var / 4;
            float inv_std = 1.0f / ref_scalar_f32_sqrt(var + 1e-05f);
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                float value = ((float)input0[i0][i1][i2] - mean) * inv_std;
                value = value * scale[i2] + bias[i2];
                output[i0][i1][i2] = value;
            }
        }
    }
}
@layernormalization((const float (*)[3][4])(const void *)in0, in1, in2, (float (*)[3][4])(void *)out0);
