/* x -> y: float -> float; scratch 0 */
static void @pad(const float turnkey_in0[2][3][4], float turnkey_out0[2][3][7]) {
    const float *input_flat = (const float *)turnkey_in0;
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 7; ++i2) {
                turnkey_out0[i0][i1][i2] = 0.0f;
            }
        }
    }
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 7; ++i2) {
                idx_t pad_index = 0;
                int pad_in_bounds = 1;
                idx_t pad_idx0 = i0 - (idx_t)(0);
                if (2 == 0) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds && (pad_idx0 < 0 || pad_idx0 >= 2)) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds) {
                    pad_index += pad_idx0 * 12;
                }
                idx_t pad_idx1 = i1 - (idx_t)(0);
                if (3 == 0) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds && (pad_idx1 < 0 || pad_idx1 >= 3)) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds) {
                    pad_index += pad_idx1 * 4;
                }
                idx_t pad_idx2 = i2 - (idx_t)(1);
                if (4 == 0) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds && (pad_idx2 < 0 || pad_idx2 >= 4)) {
                    pad_in_bounds = 0;
                }
                if (pad_in_bounds) {
                    pad_index += pad_idx2 * 1;
                }
                if (!pad_in_bounds) {
                } else {
                    turnkey_out0[i0][i1][i2] = input_flat[pad_index];
                }
            }
        }
    }
}
@pad((const float (*)[3][4])(const void *)in0, (float (*)[3][7])(void *)out0);
