/* x i -> y: float, int64_t -> float; scratch 0 */
static void @gather(const float data[5][4], const int64_t indices[2][3], float output[2][3][4]) {
    for (idx_t i0 = 0; i0 < 2; ++i0) {
        for (idx_t i1 = 0; i1 < 3; ++i1) {
            for (idx_t i2 = 0; i2 < 4; ++i2) {
                idx_t gather_index = indices[i0][i1];
                if (gather_index < 0) {
                    gather_index += 5;
                }
                output[i0][i1][i2] = data[gather_index][i2];
            }
        }
    }
}
@gather((const float (*)[4])(const void *)in0, (const int64_t (*)[3])(const void *)in1, (float (*)[3][4])(void *)out0);
