/* x z -> y: float, float -> float; scratch 0 */
static void @concat(const float input_0[2][3][4], const float input_1[2][2][4], float output[2][5][4]) {
    const void *inputs[] = { input_0, input_1 };
    const idx_t axis_sizes[] = { 3, 2 };
    idx_t concat_axis = 0;
    for (idx_t idx = 0; idx < 2; ++idx) {
        concat_axis += axis_sizes[idx];
    }
    if (concat_axis == 0) {
        return;
    }
    for (idx_t outer_idx = 0; outer_idx < 2; ++outer_idx) {
        idx_t output_offset = outer_idx * concat_axis * 4;
        idx_t axis_offset = 0;
        for (idx_t input_idx = 0; input_idx < 2; ++input_idx) {
            idx_t axis = axis_sizes[input_idx];
            idx_t copy_elems = axis * 4;
            const unsigned char *input_bytes =
            (const unsigned char *)inputs[input_idx];
            idx_t input_offset = outer_idx * copy_elems;
            memcpy(
            ((unsigned char *)output) + (output_offset + axis_offset) * sizeof(float),
            input_bytes + input_offset * sizeof(float),
            copy_elems * sizeof(float)
            );
            axis_offset += copy_elems;
        }
    }
}
@concat((const float (*)[3][4])(const void *)in0, (const float (*)[2][4])(const void *)in1, (float (*)[5][4])(void *)out0);
