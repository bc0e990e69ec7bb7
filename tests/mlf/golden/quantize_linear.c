/* x s z -> y: float, float, uint8_t -> uint8_t; scratch 0 */
static inline float ref_scalar_f32_nearbyint(float a) {
    return nearbyintf(a);
}
static inline float ref_scalar_f32_maximum(float a, float b) {
    return fmaxf(a, b);
}
static inline float ref_scalar_f32_minimum(float a, float b) {
    return fminf(a, b);
}
static void @quantizelinear(const float input0[2][6], const float scale[1], const uint8_t zero_point[1], uint8_t output[2][6]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 6; ++i1) {
            float scaled = ((float)input0[i0][i1] / (float)scale[0]);
            float rounded = ref_scalar_f32_nearbyint(scaled) + (float)zero_point[0];
            rounded = ref_scalar_f32_maximum(rounded, (float)0);
            rounded = ref_scalar_f32_minimum(rounded, (float)UINT8_MAX);
            output[i0][i1] = (uint8_t)rounded;
        }
    }
}
@quantizelinear((const float (*)[6])(const void *)in0, in1, in2, (uint8_t (*)[6])(void *)out0);
