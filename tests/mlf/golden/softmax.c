/* x -> y: float -> float; scratch 0 */
static inline float ref_scalar_f32_maximum(float a, float b) {
    return fmaxf(a, b);
}
static inline float ref_scalar_f32_exp(float a) {
    return expf(a);
}
static void @softmax(const float input0[2][3][4], float output[2][3][4]) {
    const float *input_flat = (const float *)input0;
    float *output_flat = (float *)output;
    const idx_t outer = 2 * 3;
    const idx_t axis_size = 4;
    const idx_t inner = 1;
    for (idx_t outer_idx = 0; outer_idx < outer; ++outer_idx) {
        for (idx_t inner_idx = 0; inner_idx < inner; ++inner_idx) {
            idx_t base = (outer_idx * axis_size * inner) + inner_idx;
            float max_value = input_flat[base];
            for (idx_t axis_idx = 1; axis_idx < axis_size; ++axis_idx) {
                float value = input_flat[base + axis_idx * inner];
                max_value = ref_scalar_f32_maximum(max_value, value);
            }
            float sum = 0;
            for (idx_t axis_idx = 0; axis_idx < axis_size; ++axis_idx) {
                float value = ref_scalar_f32_exp(input_flat[base + axis_idx * inner] - max_value);
                output_flat[base + axis_idx * inner] = value;
                sum += value;
            }
            for (idx_t axis_idx = 0; axis_idx < axis_size; ++axis_idx) {
                output_flat[base + axis_idx * inner] /= sum;
            }
        }
    }
}
@softmax((const float (*)[3][4])(const void *)in0, (float (*)[3][4])(void *)out0);
