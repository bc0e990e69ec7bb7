/* x s z -> y: uint8_t, float, uint8_t -> float; scratch 0 */
static void @dequantizelinear(const uint8_t input0[2][6], const float scale[1], const uint8_t zero_point[1], float output[2][6]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 6; ++i1) {
            float dequantized = ((float)input0[i0][i1] - (float)zero_point[0]) * (float)scale[0];
            output[i0][i1] = (float)dequantized;
        }
    }
}
@dequantizelinear((const uint8_t (*)[6])(const void *)in0, in1, in2, (float (*)[6])(void *)out0);
