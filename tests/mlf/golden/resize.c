/* x -> y: float -> float; scratch 0 */
static const float @weight1[4] = {
    0x1.000000p+0f, 0x1.000000p+0f, 0x1.000000p+1f, 0x1.000000p+1f
};

static void @resize(const float input0[1][4][6][6], const float scales_input[4], float output[1][4][12][12]) {
    const int64_t input_shape[4] = { 1, 4, 6, 6 };
    const int64_t output_shape[4] EMX_UNUSED = { 1, 4, 12, 12 };
    double scales[4] EMX_UNUSED;
    const double roi[8] EMX_UNUSED = {
        0.0,        0.0,        0.0,        0.0,        1.0,        1.0,        1.0,        1.0    };
    for (idx_t r = 0; r < 4; ++r) {
        scales[r] = 1.0;
    }
    scales[0] = (double)scales_input[0];
    scales[1] = (double)scales_input[1];
    scales[2] = (double)scales_input[2];
    scales[3] = (double)scales_input[3];
    for (idx_t i0 = 0; i0 < 1; ++i0) {
        for (idx_t i1 = 0; i1 < 4; ++i1) {
            for (idx_t i2 = 0; i2 < 12; ++i2) {
                for (idx_t i3 = 0; i3 < 12; ++i3) {
                    int use_extrapolation = 0;
                    double x_orig0;
                    x_orig0 = ((double)i0 + 0.5) / scales[0] - 0.5;
                    double x_orig1;
                    x_orig1 = ((double)i1 + 0.5) / scales[1] - 0.5;
                    double x_orig2;
                    x_orig2 = ((double)i2 + 0.5) / scales[2] - 0.5;
                    double x_orig3;
                    x_orig3 = ((double)i3 + 0.5) / scales[3] - 0.5;
                    if (use_extrapolation) {
                        output[i0][i1][i2][i3] = (float)0.0;
                    } else {
                        double acc = 0.0;
                        double x_floor0 = floor(x_orig0);
                        double ratio0 = x_orig0 - x_floor0;
                        const int is_integer0 = ratio0 == 0.0;
                        if (is_integer0) {
                            ratio0 = 1.0;
                        }
                        int count0;
                        count0 = 2;
                        int start_index0 = (int)x_floor0 - (count0 / 2);
                        if (!is_integer0) {
                            start_index0 += 1;
                        }
                        int idx0_values[count0];
                        double coeff0[count0];
                        for (int c = 0; c < count0; ++c) {
                            idx0_values[c] = start_index0 + c;
                        }
                        coeff0[0] = 1.0 - ratio0;
                        coeff0[1] = ratio0;
                        double x_floor1 = floor(x_orig1);
                        double ratio1 = x_orig1 - x_floor1;
                        const int is_integer1 = ratio1 == 0.0;
                        if (is_integer1) {
                            ratio1 = 1.0;
                        }
                        int count1;
                        count1 = 2;
                        int start_index1 = (int)x_floor1 - (count1 / 2);
                        if (!is_integer1) {
                            start_index1 += 1;
                        }
                        int idx1_values[count1];
                        double coeff1[count1];
                        for (int c = 0; c < count1; ++c) {
                            idx1_values[c] = start_index1 + c;
                        }
                        coeff1[0] = 1.0 - ratio1;
                        coeff1[1] = ratio1;
                        double x_floor2 = floor(x_orig2);
                        double ratio2 = x_orig2 - x_floor2;
                        const int is_integer2 = ratio2 == 0.0;
                        if (is_integer2) {
                            ratio2 = 1.0;
                        }
                        int count2;
                        count2 = 2;
                        int start_index2 = (int)x_floor2 - (count2 / 2);
                        if (!is_integer2) {
                            start_index2 += 1;
                        }
                        int idx2_values[count2];
                        double coeff2[count2];
                        for (int c = 0; c < count2; ++c) {
                            idx2_values[c] = start_index2 + c;
                        }
                        coeff2[0] = 1.0 - ratio2;
                        coeff2[1] = ratio2;
                        double x_floor3 = floor(x_orig3);
                        double ratio3 = x_orig3 - x_floor3;
                        const int is_integer3 = ratio3 == 0.0;
                        if (is_integer3) {
                            ratio3 = 1.0;
                        }
                        int count3;
                        count3 = 2;
                        int start_index3 = (int)x_floor3 - (count3 / 2);
                        if (!is_integer3) {
                            start_index3 += 1;
                        }
                        int idx3_values[count3];
                        double coeff3[count3];
                        for (int c = 0; c < count3; ++c) {
                            idx3_values[c] = start_index3 + c;
                        }
                        coeff3[0] = 1.0 - ratio3;
                        coeff3[1] = ratio3;
                        for (int n0 = 0; n0 < count0; ++n0) {
                            for (int n1 = 0; n1 < count1; ++n1) {
                                for (int n2 = 0; n2 < count2; ++n2) {
                                    for (int n3 = 0; n3 < count3; ++n3) {
                                        double weight = 1.0;
                                        weight *= coeff0[n0];
                                        weight *= coeff1[n1];
                                        weight *= coeff2[n2];
                                        weight *= coeff3[n3];
                                        int idx0 = idx0_values[n0];
                                        if (idx0 < 0) {
                                            idx0 = 0;
                                        } else if (idx0 >= input_shape[0]) {
                                            idx0 = (int)input_shape[0] - 1;
                                        }
                                        int idx1 = idx1_values[n1];
                                        if (idx1 < 0) {
                                            idx1 = 0;
                                        } else if (idx1 >= input_shape[1]) {
                                            idx1 = (int)input_shape[1] - 1;
                                        }
                                        int idx2 = idx2_values[n2];
                                        if (idx2 < 0) {
                                            idx2 = 0;
                                        } else if (idx2 >= input_shape[2]) {
                                            idx2 = (int)input_shape[2] - 1;
                                        }
                                        int idx3 = idx3_values[n3];
                                        if (idx3 < 0) {
                                            idx3 = 0;
                                        } else if (idx3 >= input_shape[3]) {
                                            idx3 = (int)input_shape[3] - 1;
                                        }
                                        acc += weight * (double)input0[idx0][idx1][idx2][idx3];
                                    }
                                }
                            }
                        }
                        output[i0][i1][i2][i3] = (float)acc;
                    }
                }
            }
        }
    }
}
@resize((const float (*)[4][6][6])(const void *)in0, @weight1, (float (*)[4][12][12])(void *)out0);
