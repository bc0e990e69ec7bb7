/* x -> y: float -> float; scratch 0 */
static void @averagepool(const float input0[1][4][6][6], float output[1][4][3][3]) {
    for (idx_t n = 0; n < 1; ++n) {
        for (idx_t c = 0; c < 4; ++c) {
            for (idx_t oh = 0; oh < 3; ++oh) {
                for (idx_t ow = 0; ow < 3; ++ow) {
                    float values[4];
                    idx_t count = 0;
                    for (idx_t kh = 0; kh < 2; ++kh) {
                        const idx_t ih = oh * 2 + kh * 1 - 0;
                        for (idx_t kw = 0; kw < 2; ++kw) {
                            const idx_t iw = ow * 2 + kw * 1 - 0;
                            if (ih >= 0 && ih < 6 && iw >= 0 && iw < 6) {
                                values[count++] = input0[n][c][ih][iw];
                            } else if (
                            0
                            && ih >= -0 && ih < 6 + 0
                            && iw >= -0 && iw < 6 + 0
                            ) {
                                values[count++] = 0.0f;
                            }
                        }
                    }
                    const idx_t denom = count;
                    float acc = 0.0f;
                    if (count > 0) {
                        idx_t reduce_count = count;
                        while (reduce_count > 1) {
                            idx_t next = 0;
                            for (idx_t i = 0; i + 1 < reduce_count; i += 2) {
                                values[next++] = values[i] + values[i + 1];
                            }
                            if (reduce_count % 2) {
                                values[next++] = values[reduce_count - 1];
                            }
                            reduce_count = next;
                        }
                        acc = values[0];
                    }
                    output[n][c][oh][ow] = denom ? acc / (float)denom : 0.0f;
                }
            }
        }
    }
}
@averagepool((const float (*)[4][6][6])(const void *)in0, (float (*)[4][3][3])(void *)out0);
