/* x w b -> y: float, float, float -> float; scratch 0 */
static void @conv(const float input0[1][4][6][6], const float weights[3][4][3][3], const float bias[3], float output[1][3][3][3]) {
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t g = 0; g < 1; ++g) {
            for (idx_t oc = 0; oc < 3; ++oc) {
                const idx_t oc_global = g * 3 + oc;
                for (idx_t od0 = 0; od0 < 3; ++od0) {
                    for (idx_t od1 = 0; od1 < 3; ++od1) {
                        float acc = (float)bias[oc_global];
                        for (idx_t ic = 0; ic < 4; ++ic) {
                            const idx_t ic_global = g * 4 + ic;
                            for (idx_t kd0 = 0; kd0 < 3; ++kd0) {
                                for (idx_t kd1 = 0; kd1 < 3; ++kd1) {
                                    const idx_t id0 = od0 * 2 + kd0 * 1 - 1;
                                    const idx_t id1 = od1 * 2 + kd1 * 1 - 1;
                                    if (id0 >= 0 && id0 < 6 && id1 >= 0 && id1 < 6) {
                                        acc += (float)input0[n][ic_global][id0][id1] * (float)weights[oc_global][ic][kd0][kd1];
                                    }
                                }
                            }
                        }
                        output[n][oc_global][od0][od1] = (float)acc;
                    }
                }
            }
        }
    }
}
@conv((const float (*)[4][6][6])(const void *)in0, (const float (*)[4][3][3])(const void *)in1, in2, (float (*)[3][3][3])(void *)out0);
