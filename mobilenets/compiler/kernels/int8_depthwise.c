/* A depthwise 3x3 convolution: rows first..last-1 of the output, pixels one after the other, from the image in
 * ([height][width] pixels of `channels` bytes), @ channels at a time. For two rows of the output (one where the
 * stride is 2), the four rows of the input that they see are brought side by side, with the border that padding adds,
 * in `columns`; there, a tap is one dot product. */
#define DW_PIXELS 4

/* Columns 0..count-1 of the bordered rows y..y+3. */
INLINE void int8_columns@(const uint8_t *restrict in, int height, int width, int channels, int y, int left, int count,
                          const uint8_t *restrict outside, code *restrict to) {
    const uint8_t *row[4];
    int pixel[4];
    UNROLL for (int i = 0; i < 4; i++) {
        const int inside = y + i >= 0 && y + i < height;
        row[i] = inside ? in + (y + i) * width * channels : outside;
        pixel[i] = inside ? channels : 0;
    }
    const int plane = count * @ * GROUP;
    int at = 0;
    for (; at < left; at++) column@(outside, outside, outside, outside, to + at * @ * GROUP, plane);
    const int end = left + width < count ? left + width : count;
    for (; at < end; at++) {
        const int x = at - left;
        column@(row[0] + x * pixel[0], row[1] + x * pixel[1], row[2] + x * pixel[2], row[3] + x * pixel[3],
                to + at * @ * GROUP, plane);
    }
    for (; at < count; at++) column@(outside, outside, outside, outside, to + at * @ * GROUP, plane);
}

/* `count` pixels of one row of the output, seen in the first three rows of the columns or (`second`) in the last. */
INLINE void int8_depthwise_pixels@(int count, const code *restrict columns, int plane, int stride, int second,
                                   const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                   const float *restrict factor, int zero, int low, int high, code *restrict out,
                                   int channels) {
    ints@ sum[DW_PIXELS], all[DW_PIXELS];
    UNROLL for (int i = 0; i < count; i++) {
        sum[i] = ints_at@(bias);
        all[i] = (ints@){0};
    }
    UNROLL for (int x = 0; x < 3; x++)
        UNROLL for (int i = 0; i < count; i++) {
            const code *from = columns + (i * stride + x) * @ * GROUP;
            sum[i] = taps@(sum[i], from, w + x * 4 * @, plane);
            if (weight_zero) all[i] = count@(all[i], from, second, plane);
        }
    UNROLL for (int i = 0; i < count; i++)
        sum[i] = nearest@(sum[i] - weight_zero * all[i], reals_at@(factor), (float)(high - zero));
    const bytes@ whole = narrow@(sum[0], sum[1 % count], sum[2 % count], sum[3 % count], zero, low);
    UNROLL for (int i = 0; i < count; i++) codes@(whole, i * @, out + i * channels);
}

/* w: [channels / @][2 rows of the output, 1 where the stride is 2][3 columns][@ channels][4 rows], the four in pairs
 * [2][@][2] without VNNI. */
INLINE void int8_depthwise@(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                            int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                            const float *restrict factor, int from_zero, int zero, int low, int high,
                            code *restrict columns, code *restrict out, int out_width, int first, int last) {
    uint8_t outside[@];
    __builtin_memset(outside, from_zero, @);
    const int both = stride == 1 ? 2 : 1, count = (out_width - 1) * stride + 3, plane = count * @ * GROUP;
    for (int y = first; y < last; y += both)
        for (int c = 0; c < channels; c += @) {
            int8_columns@(in + c, height, width, channels, y * stride - top, left, count, outside, columns);
            for (int row = y; row < y + both && row < last; row++) {
                const tap *taps = w + (c * both + (row - y) * @) * 12;
                code *restrict to = out + (row - first) * out_width * channels + c;
                int x = 0;
                for (; x + DW_PIXELS <= out_width; x += DW_PIXELS)
                    int8_depthwise_pixels@(DW_PIXELS, columns + x * stride * @ * GROUP, plane, stride, row - y, taps,
                                           weight_zero, bias + c, factor + c, zero, low, high, to + x * channels,
                                           channels);
                for (; x < out_width; x++)
                    int8_depthwise_pixels@(1, columns + x * stride * @ * GROUP, plane, stride, row - y, taps,
                                           weight_zero,
                                           bias + c, factor + c, zero, low, high, to + x * channels, channels);
            }
        }
}
