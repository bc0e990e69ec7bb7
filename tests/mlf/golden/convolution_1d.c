/* x w -> y: float, float -> float; scratch 0 */
static void @conv(const float input0[1][2][9], const float weights[3][2][3], float output[1][3][5]) {
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t g = 0; g < 1; ++g) {
            for (idx_t oc = 0; oc < 3; ++oc) {
                const idx_t oc_global = g * 3 + oc;
                for (idx_t od0 = 0; od0 < 5; ++od0) {
                    float acc = 0.0f;
                    for (idx_t ic = 0; ic < 2; ++ic) {
                        const idx_t ic_global = g * 2 + ic;
                        for (idx_t kd0 = 0; kd0 < 3; ++kd0) {
                            const idx_t id0 = od0 * 1 + kd0 * 2 - 0;
                            if (id0 >= 0 && id0 < 9) {
                                acc += (float)input0[n][ic_global][id0] * (float)weights[oc_global][ic][kd0];
                            }
                        }
                    }
                    output[n][oc_global][od0] = (float)acc;
                }
            }
        }
    }
}
@conv((const float (*)[2][9])(const void *)in0, (const float (*)[2][3])(const void *)in1, (float (*)[3][5])(void *)out0);
