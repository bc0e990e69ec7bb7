/* x -> y i: float -> float, int64_t; scratch 0 */
static inline int node0_topk_better(float a, int64_t ai, float b, int64_t bi) {
    return (a > b) || ((a == b) && (ai < bi));
}
static void @topk(const float input0[2][3][4], float output_values[2][3][2], int64_t output_indices[2][3][2]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            float best_values[2];
            int64_t best_indices[2];
            for (idx_t r0 = 0; r0 < 2; ++r0) {
                best_values[r0] = input0[i0][i1][r0];
                best_indices[r0] = (int64_t)r0;
            }
            for (idx_t i = 1; i < 2; ++i) {
                idx_t j = i;
                while (j > 0
                && node0_topk_better(best_values[j], best_indices[j], best_values[j - 1], best_indices[j - 1])) {
                    float temp_value = best_values[j - 1];
                    int64_t temp_index = best_indices[j - 1];
                    best_values[j - 1] = best_values[j];
                    best_indices[j - 1] = best_indices[j];
                    best_values[j] = temp_value;
                    best_indices[j] = temp_index;
                    --j;
                }
            }
            for (idx_t r0 = 2; r0 < 4; ++r0) {
                float candidate = input0[i0][i1][r0];
                int64_t candidate_index = (int64_t)r0;
                if (node0_topk_better(candidate, candidate_index, best_values[1], best_indices[1])) {
                    idx_t pos = 1;
                    while (pos > 0
                    && node0_topk_better(candidate, candidate_index, best_values[pos - 1], best_indices[pos - 1])) {
                        best_values[pos] = best_values[pos - 1];
                        best_indices[pos] = best_indices[pos - 1];
                        --pos;
                    }
                    best_values[pos] = candidate;
                    best_indices[pos] = candidate_index;
                }
            }
            for (idx_t k0 = 0; k0 < 2; ++k0) {
                output_values[i0][i1][k0] = best_values[k0];
                output_indices[i0][i1][k0] = best_indices[k0];
            }
        }
    }
}
@topk((const float (*)[3][4])(const void *)in0, (float (*)[3][2])(void *)out0, (int64_t (*)[3][2])(void *)out1);
