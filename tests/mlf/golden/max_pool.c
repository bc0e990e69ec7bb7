/* x -> y: float -> float; scratch 0 */
static inline float ref_scalar_f32_maximum(float a, float b) {
    return fmaxf(a, b);
}
static void @maxpool(const float input0[1][4][6][6], float output[1][4][6][6]) {
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t c = 0; c < 4; ++c) {
            for (idx_t oh = 0; oh < 6; ++oh) {
                for (idx_t ow = 0; ow < 6; ++ow) {
                    float max_value = -INFINITY;
                    for (idx_t kh = 0; kh < 3; ++kh) {
                        const idx_t ih = oh * 1 + kh * 1 - 1;
                        if (ih >= 0 && ih < 6) {
                            for (idx_t kw = 0; kw < 3; ++kw) {
                                const idx_t iw = ow * 1 + kw * 1 - 1;
                                if (iw >= 0 && iw < 6) {
                                    float val = input0[n][c][ih][iw];
                                    max_value = ref_scalar_f32_maximum(max_value, val);
                                }
                            }
                        }
                    }
                    output[n][c][oh][ow] = max_value;
                }
            }
        }
    }
}
@maxpool((const float (*)[4][6][6])(const void *)in0, (float (*)[4][6][6])(void *)out0);
