/* The heart of every other convolution: `mr` pixels x 8 channels (nr is 2), all sums in registers. What a pixel sees are
 * `runs` runs of codes (the rows of a kernel), `row` apart, each GROUP * groups long; the next pixel's lie `pixel` on.
 * w: [runs][groups][8][GROUP]. */
#define GROUPS_ELEMENT(l)                                          \
    weights_at(v + (k + l) * 8 * GROUP, b);                        \
    UNROLL for (int i = 0; i < mr; i++) {                          \
        sum[2 * i] = DOT_ELEMENT(sum[2 * i], b[0], x[i], l);       \
        sum[2 * i + 1] = DOT_ELEMENT(sum[2 * i + 1], b[1], x[i], l); \
        if (weight_zero) all[i] = DOT_ELEMENT(all[i], ones(), x[i], l); \
    }

/* Sums of `mr` pixels as bytes. */
INLINE void write4(const ints4 *sum, int mr, const float *restrict factor, int zero, int low, int high,
                   uint8_t *restrict out, int channels) {
    const reals4 f[2] = {reals_at4(factor), reals_at4(factor + 4)};
    UNROLL for (int i = 0; i < mr; i += 2) {
        const ints4 *next = i + 1 < mr ? sum + 2 * i + 2 : sum + 2 * i; /* what is too much is not written */
        const bytes4 two = narrow4(whole4(sum[2 * i], f[0]), whole4(sum[2 * i + 1], f[1]), whole4(next[0], f[0]),
                                   whole4(next[1], f[1]), zero, low, high);
        __builtin_memcpy(out + i * channels, &two, 8);
        if (i + 1 < mr) __builtin_memcpy(out + (i + 1) * channels, (const uint8_t *)&two + 8, 8);
    }
}

INLINE void int8_tile4(int mr, const code *restrict a, int runs, int row, int pixel, int groups,
                       const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                       const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels) {
    ints4 sum[2 * MR_MAX], all[MR_MAX];
    weights4 b[2];
    UNROLL for (int i = 0; i < mr; i++) {
        sum[2 * i] = ints_at4(bias);
        sum[2 * i + 1] = ints_at4(bias + 4);
        all[i] = (ints4){0};
    }
    for (int r = 0; r < runs; r++) {
        const int8_t *restrict v = w + r * groups * 8 * GROUP;
        const code *restrict from = a + r * row;
        int k = 0;
        for (; k + STEPS <= groups; k += STEPS) {
            __typeof__(row_at(a)) x[MR_MAX];
            UNROLL for (int i = 0; i < mr; i++) x[i] = row_at(from + i * pixel + k * GROUP);
            GROUPS_ELEMENT(0)
            GROUPS_ELEMENT(1)
            GROUPS_ELEMENT(2)
            GROUPS_ELEMENT(3)
#if STEPS == 8
            GROUPS_ELEMENT(4)
            GROUPS_ELEMENT(5)
            GROUPS_ELEMENT(6)
            GROUPS_ELEMENT(7)
#endif
        }
        for (; k < groups; k++) {
            weights_at(v + k * 8 * GROUP, b);
            UNROLL for (int i = 0; i < mr; i++) {
                const __typeof__(spread(a)) x = spread(from + i * pixel + k * GROUP);
                sum[2 * i] = DOT(sum[2 * i], b[0], x);
                sum[2 * i + 1] = DOT(sum[2 * i + 1], b[1], x);
                if (weight_zero) all[i] = DOT(all[i], ones(), x);
            }
        }
    }
    if (weight_zero) UNROLL for (int i = 0; i < 2 * mr; i++) sum[i] -= weight_zero * all[i / 2];
    write4(sum, mr, factor, zero, low, high, out, channels);
}

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
    for (int n = 0; n < channels; n += 8)
        int8_panel4(mr, nr, a, runs, row, pixel, groups, w + n * runs * groups * GROUP, weight_zero, bias + n, factor + n,
                    zero, low, high, out + n, channels, 8, count);
}
