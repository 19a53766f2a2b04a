/* A depthwise convolution of any size: rows first..last-1 of the output, from and to images of bytes, @ channels at a
 * time. For two rows of the output (one where the stride is 2), the rows of the input that they see are brought side by
 * side, GROUP by GROUP, with the border that padding adds, in `columns`; there, GROUP taps of a column are one dot
 * product. */
#if GROUP == 4
#define STACK(lanes, rows, to) column##lanes(rows[0], rows[1], rows[2], rows[3], to, 0)
#define STACKED(lanes, sum, a, w) taps##lanes(sum, a, w, 0)
#else
#define STACK(lanes, rows, to) pair##lanes(rows[0], rows[1], to)
#define STACKED(lanes, sum, a, w) dot##lanes(sum, *(const group##lanes *)(a), *(const group##lanes *)(w))
#endif
#define ANY_PIXELS 4

/* Columns 0..count-1 of GROUP bordered rows from y on. */
INLINE void int8_stack@(const uint8_t *restrict in, int height, int width, int channels, int y, int left, int count,
                        const uint8_t *restrict outside, code *restrict to) {
    const uint8_t *row[GROUP], *none[GROUP];
    int pixel[GROUP];
    UNROLL for (int i = 0; i < GROUP; i++) {
        const int inside = y + i >= 0 && y + i < height;
        none[i] = outside;
        row[i] = inside ? in + (y + i) * width * channels : outside;
        pixel[i] = inside ? channels : 0;
    }
    const int end = left + width < count ? left + width : count;
    int at = 0;
    for (; at < left; at++) STACK(@, none, to + at * @ * GROUP);
    for (; at < end; at++) {
        STACK(@, row, to + at * @ * GROUP);
        UNROLL for (int i = 0; i < GROUP; i++) row[i] += pixel[i];
    }
    for (; at < count; at++) STACK(@, none, to + at * @ * GROUP);
}

/* A column's numbers with 1 as their weights, those of the rows that output row `second` does not see with 0. */
INLINE ints@ int8_seen@(ints@ sum, const code *a, int kernel, int group, int second) {
    int ones = 0;
    UNROLL for (int i = 0; i < GROUP; i++) {
        const int row = group * GROUP + i - second;
        if (row >= 0 && row < kernel) ones |= 1 << 32 / GROUP * i;
    }
    return dot@(sum, *(const group@ *)a, (group@)(ones - (ints@){0}));
}

/* `count` pixels of one row of the output, which sees the first rows of the columns or (`second`) those below. */
INLINE void int8_any_pixels@(int count, int kernel, int groups, const code *restrict columns, int plane, int stride,
                             int second, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                             const float *restrict factor, int zero, int low, int high, uint8_t *restrict out,
                             int channels) {
    ints@ sum[ANY_PIXELS], all[ANY_PIXELS];
    UNROLL for (int i = 0; i < count; i++) {
        sum[i] = ints_at@(bias);
        all[i] = (ints@){0};
    }
    for (int x = 0; x < kernel; x++)
        UNROLL for (int g = 0; g < groups; g++)
            UNROLL for (int i = 0; i < count; i++) {
                const code *from = columns + g * plane + (i * stride + x) * @ * GROUP;
                sum[i] = STACKED(@, sum[i], from, w + (x * groups + g) * @ * GROUP);
                if (weight_zero) all[i] = int8_seen@(all[i], from, kernel, g, second);
            }
    UNROLL for (int i = 0; i < count; i++)
        sum[i] = nearest@(sum[i] - weight_zero * all[i], reals_at@(factor), (float)(high - zero));
    const bytes@ whole = narrow@(sum[0], sum[1 % count], sum[2 % count], sum[3 % count], zero, low);
    UNROLL for (int i = 0; i < count; i++)
        __builtin_memcpy(out + i * channels, (const uint8_t *)&whole + i * @, @);
}

/* w: [channels / @][2 rows of the output, 1 where the stride is 2][kernel columns][groups of rows][@ channels][GROUP]. */
INLINE void int8_depthwise_any@(int kernel, const uint8_t *restrict in, int height, int width, int channels, int stride,
                                int top, int left, const tap *restrict w, int weight_zero,
                                const int32_t *restrict bias, const float *restrict factor, int from_zero, int zero,
                                int low, int high, code *restrict columns, uint8_t *restrict out, int out_width,
                                int first, int last) {
    uint8_t outside[@];
    __builtin_memset(outside, from_zero, @);
    const int both = stride == 1 ? 2 : 1, count = (out_width - 1) * stride + kernel, plane = count * @ * GROUP;
    const int groups = (kernel + both - 1 + GROUP - 1) / GROUP;
    for (int y = first; y < last; y += both)
        for (int c = 0; c < channels; c += @) {
            for (int g = 0; g < groups; g++)
                int8_stack@(in + c, height, width, channels, y * stride - top + g * GROUP, left, count, outside,
                            columns + g * plane);
            for (int row = y; row < y + both && row < last; row++) {
                const tap *of_row = w + (c * both + (row - y) * @) * kernel * groups * GROUP;
                uint8_t *restrict to = out + row * out_width * channels + c;
                int x = 0;
                for (; x + ANY_PIXELS <= out_width; x += ANY_PIXELS)
                    int8_any_pixels@(ANY_PIXELS, kernel, groups, columns + x * stride * @ * GROUP, plane, stride,
                                     row - y, of_row, weight_zero, bias + c, factor + c, zero, low, high,
                                     to + x * channels, channels);
                for (; x < out_width; x++)
                    int8_any_pixels@(1, kernel, groups, columns + x * stride * @ * GROUP, plane, stride, row - y,
                                     of_row, weight_zero, bias + c, factor + c, zero, low, high, to + x * channels,
                                     channels);
            }
        }
}
