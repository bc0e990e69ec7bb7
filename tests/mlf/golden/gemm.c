/* x w b -> y: float, float, float -> float; scratch 0 */
static void @gemm(const float input_a[3][5], const float input_b[4][5], const float input_c[4], float output[3][4]) {
    for (idx_t i = 0; i < 3; ++i) {
        for (idx_t j = 0; j < 4; ++j) {
            float acc = 0.0f;
            for (idx_t k = 0; k < 5; ++k) {
                const float a_val = input_a[i][k];
                const float b_val = input_b[j][k];
                acc += a_val * b_val;
            }
            idx_t c_j = j;
            const float bias = input_c[c_j];
            output[i][j] = acc * 0.5f + bias * 1.0f;
        }
    }
}
@gemm((const float (*)[5])(const void *)in0, (const float (*)[5])(const void *)in1, in2, (float (*)[4])(void *)out0);
