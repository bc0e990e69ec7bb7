/* x w r -> y: float, float, float -> float; scratch 0 */
static inline float ref_scalar_f32_sigmoid(float a) {
    return 1.0f / (1.0f + expf(-a));
}
static inline float ref_scalar_f32_tanh(float a) {
    return tanhf(a);
}
static void @lstm(const float input_x[3][1][2], const float input_w[1][16][2], const float input_r[1][16][4], float output_y[3][1][1][4]) {
    {
        const int dir = 0;
        const int reverse = 0;
        float H_prev[1][4];
        float C_prev[1][4];
        for (int b = 0; b < 1; ++b) {
            for (int h = 0; h < 4; ++h) {
                H_prev[b][h] = 0.0f;
                C_prev[b][h] = 0.0f;
            }
        }
        for (int b = 0; b < 1; ++b) {
            int seq_limit = 3;
            for (int step = 0; step < seq_limit; ++step) {
                int t = reverse ? (seq_limit - 1 - step) : step;
                float H_next[4];
                float C_next[4];
                for (int h = 0; h < 4; ++h) {
                    float gate_i = 0.0f;
                    float gate_o = 0.0f;
                    float gate_f = 0.0f;
                    float gate_c = 0.0f;
                    for (int i = 0; i < 2; ++i) {
                        float x_val = input_x[t][b][i];
                        gate_i += x_val * input_w[dir][h][i];
                        gate_o += x_val * input_w[dir][4 + h][i];
                        gate_f += x_val * input_w[dir][4 * 2 + h][i];
                        gate_c += x_val * input_w[dir][4 * 3 + h][i];
                    }
                    for (int i = 0; i < 4; ++i) {
                        float h_val = H_prev[b][i];
                        gate_i += h_val * input_r[dir][h][i];
                        gate_o += h_val * input_r[dir][4 + h][i];
                        gate_f += h_val * input_r[dir][4 * 2 + h][i];
                        gate_c += h_val * input_r[dir][4 * 3 + h][i];
                    }
                    float i_gate = ref_scalar_f32_sigmoid(gate_i);
                    float f_gate = ref_scalar_f32_sigmoid(gate_f);
                    float c_gate = ref_scalar_f32_tanh(gate_c);
                    float c_new = f_gate * C_prev[b][h] + i_gate * c_gate;
                    float o_gate = ref_scalar_f32_sigmoid(gate_o);
                    float h_new = o_gate * ref_scalar_f32_tanh(c_new);
                    C_next[h] = c_new;
                    H_next[h] = h_new;
                    output_y[step][dir][b][h] = h_new;
                }
                for (int h = 0; h < 4; ++h) {
                    C_prev[b][h] = C_next[h];
                    H_prev[b][h] = H_next[h];
                }
            }
            for (int step = seq_limit; step < 3; ++step) {
                for (int h = 0; h < 4; ++h) {
                    output_y[step][dir][b][h] = 0.0f;
                }
            }
        }
    }
}
@lstm((const float (*)[1][2])(const void *)in0, (const float (*)[16][2])(const void *)in1, (const float (*)[16][4])(const void *)in2, (float (*)[1][1][4])(void *)out0);
