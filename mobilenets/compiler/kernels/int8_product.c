/* `bytes` of the output's channels for pixels 0..count-1. */
INLINE void int8_panel@(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                        const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                        const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                        int bytes, int count) {
    int p = 0;
    for (; p + mr <= count; p += mr)
        int8_tile@(mr, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
    if (p < count && p > 0) { /* some pixels again */
        int8_tile@(mr, nr, a + (count - mr) * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low,
                   high, out + (count - mr) * channels, channels, bytes);
        return;
    }
    for (; p < count; p++)
        int8_tile@(1, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
}

/* All channels of pixels 0..count-1; a last panel of weights may be wider than what is left of them. */
INLINE void int8_product@(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                          const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                          const float *restrict factor, int zero, int low, int high, uint8_t *restrict out,
                          int channels, int count) {
    const int panel = nr * @, depth = runs * groups * GROUP;
    int n = 0;
    for (; n + panel <= channels; n += panel)
        int8_panel@(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, panel, count);
    if (channels % panel)
        int8_panel@(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, channels % panel, count);
}
