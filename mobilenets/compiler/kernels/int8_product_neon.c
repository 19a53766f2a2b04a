/* 8 of the output's channels for pixels 0..count-1. */
INLINE void int8_panel4(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                        const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                        const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                        int bytes, int count) {
    (void)nr, (void)bytes;
    int p = 0;
    for (; p + mr <= count; p += mr)
        int8_tile4(mr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels);
    for (; p < count; p++)
        int8_tile4(1, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels);
}

/* All channels, multiples of 8, of pixels 0..count-1. */
INLINE void int8_product4(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                          const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                          const float *restrict factor, int zero, int low, int high, uint8_t *restrict out,
                          int channels, int count) {
    const int depth = runs * groups * GROUP;
    for (int n = 0; n < channels; n += 8)
        int8_panel4(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, 8, count);
}
