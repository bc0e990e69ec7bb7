/* x -> y: float -> float; scratch 0 */
static void @expand(const float input0[3][1], float output[2][3][4]) {
    const float *input_data = (const float *)input0;
    float *output_data = (float *)output;
    idx_t output_index = 0;
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                idx_t input_index = i1 * 1;
                output_data[output_index] = input_data[input_index];
                output_index++;
            }
        }
    }
}
@expand((const float (*)[1])(const void *)in0, (float (*)[3][4])(void *)out0);
