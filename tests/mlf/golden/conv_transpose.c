/* x w -> y: float, float -> float; scratch 0 */
static void @convtranspose(const float input0[1][4][6][6], const float weights[4][2][2][2], float output[1][2][12][12]) {
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t oc = 0; oc < 2; ++oc) {
            for (idx_t od0 = 0; od0 < 12; ++od0) {
                for (idx_t od1 = 0; od1 < 12; ++od1) {
                    output[n][oc][od0][od1] = 0.0f;
                }
            }
        }
    }
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t g = 0; g < 1; ++g) {
            for (idx_t oc = 0; oc < 2; ++oc) {
                const idx_t oc_global = g * 2 + oc;
                for (idx_t kd0 = 0; kd0 < 2; ++kd0) {
                    for (idx_t kd1 = 0; kd1 < 2; ++kd1) {
                        for (idx_t id0 = 0; id0 < 6; ++id0) {
                            for (idx_t id1 = 0; id1 < 6; ++id1) {
                                float acc = 0.0f;
                                for (idx_t ic = 0; ic < 4; ++ic) {
                                    const idx_t ic_global = g * 4 + ic;
                                    acc += input0[n][ic_global][id0][id1] * weights[ic_global][oc][kd0][kd1];
                                }
                                const idx_t od0 = id0 * 2 + kd0 * 1 - 0;
                                const idx_t od1 = id1 * 2 + kd1 * 1 - 0;
                                if (od0 >= 0 && od0 < 12 && od1 >= 0 && od1 < 12) {
                                    output[n][oc_global][od0][od1] += acc;
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
@convtranspose((const float (*)[4][6][6])(const void *)in0, (const float (*)[2][2][2])(const void *)in1, (float (*)[2][12][12])(void *)out0);
