/* A depthwise 3x3 convolution: rows first..last-1 of the output, pixels one after the other, from the image in
 * ([height][width] pixels of `channels` bytes), @ channels at a time. For two rows of the output (one where the
 * stride is 2), the four rows of the input that they see are brought side by side, with the border that padding adds,
 * in `columns`. */
#ifndef DW_PIXELS
#define DW_PIXELS 4
#endif

/* Columns 0..count-1 of the bordered rows y..y+3. */
INLINE void int8_columns@(const uint8_t *restrict in, int height, int width, int channels, int y, int left, int count,
                          const uint8_t *restrict outside, code *restrict to) {
    const uint8_t *const none[4] = {outside, outside, outside, outside};
    const uint8_t *rows[4];
    int pixel[4];
    UNROLL for (int i = 0; i < 4; i++) {
        const int inside = y + i >= 0 && y + i < height;
        rows[i] = inside ? in + (y + i) * width * channels : outside;
        pixel[i] = inside ? channels : 0;
    }
    const int plane = count * @ * GROUP, end = left + width < count ? left + width : count;
    int at = 0;
    for (; at < left; at++) column(@, none, to + at * @ * GROUP, plane);
    for (; at < end; at++) {
        column(@, rows, to + at * @ * GROUP, plane);
        UNROLL for (int i = 0; i < 4; i++) rows[i] += pixel[i];
    }
    for (; at < count; at++) column(@, none, to + at * @ * GROUP, plane);
}

/* `count` pixels of one row of the output, the first one number `p`: seen in the first three rows of the columns or
 * (`second`) in the last. Codes of a pixel lie one after the other or (`pairs`) eight of two pixels in turn. */
INLINE void int8_depthwise_pixels@(int count, const code *restrict columns, int plane, int stride, int second,
                                   const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                   const float *restrict factor, int zero, int low, int high, code *restrict out,
                                   int channels, int p, int pairs) {
    ints4 sum[DW_PIXELS][@ / 4];
    UNROLL for (int v = 0; v < @ / 4; v++) {
        const reals4 f = reals_at4(factor + 4 * v);
        ints4 all[DW_PIXELS];
        UNROLL for (int i = 0; i < count; i++) {
            sum[i][v] = ints_at4(bias + 4 * v);
            all[i] = (ints4){0};
        }
        UNROLL for (int x = 0; x < 3; x++)
            UNROLL for (int i = 0; i < count; i++) {
                const code *from = columns + ((i * stride + x) * @ + 4 * v) * GROUP;
                sum[i][v] = taps(sum[i][v], from, plane, w + x * 4 * @ + 4 * v * GROUP, @, second);
                if (weight_zero) all[i] = counted(all[i], from, plane, second);
            }
        UNROLL for (int i = 0; i < count; i++) sum[i][v] = whole4(sum[i][v] - weight_zero * all[i], f);
    }
    UNROLL for (int i = 0; i < count; i++)
        UNROLL for (int v = 0; v < @ / 4; v += 4) {
            const int next = v + 2 < @ / 4 ? v + 2 : v;
            const bytes4 whole = narrow4(sum[i][v], sum[i][v + 1], sum[i][next], sum[i][next + 1], zero, low, high);
            code *to = out + (pairs ? (p + i) / 2 * 2 * channels + (p + i) % 2 * 8 : (p + i) * channels);
            half_codes(whole, 0, to + 4 * v * (pairs + 1));
            if (next > v) half_codes(whole, 1, to + (4 * v + 8) * (pairs + 1));
        }
}

INLINE void int8_depthwise_rows@(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                                 int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                 const float *restrict factor, int from_zero, int zero, int low, int high,
                                 code *restrict columns, code *restrict out, int out_width, int first, int last,
                                 int pairs) {
    uint8_t outside[@];
    __builtin_memset(outside, from_zero, @);
    const int both = stride == 1 ? 2 : 1, count = (out_width - 1) * stride + 3, plane = count * @ * GROUP;
    for (int y = first; y < last; y += both)
        for (int c = 0; c < channels; c += @) {
            int8_columns@(in + c, height, width, channels, y * stride - top, left, count, outside, columns);
            for (int row = y; row < y + both && row < last; row++) {
                const tap *restrict of_row = w + (c * both + (row - y) * @) * 12;
                code *restrict to = out + c * (pairs + 1);
                const int p = (row - first) * out_width;
                int x = 0;
                for (; x + DW_PIXELS <= out_width; x += DW_PIXELS)
                    int8_depthwise_pixels@(DW_PIXELS, columns + x * stride * @ * GROUP, plane, stride, row - y, of_row,
                                           weight_zero, bias + c, factor + c, zero, low, high, to, channels, p + x,
                                           pairs);
                if (x < out_width)
                    int8_depthwise_pixels@(out_width % DW_PIXELS, columns + x * stride * @ * GROUP, plane, stride,
                                           row - y, of_row, weight_zero, bias + c, factor + c, zero, low, high, to,
                                           channels, p + x, pairs);
            }
        }
}

/* w: [channels / @][2 rows of the output, 1 where the stride is 2][3 columns][@ channels][4 rows], or [4 rows]
 * [@ channels] where the products are not summed. */
INLINE void int8_depthwise@(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                            int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                            const float *restrict factor, int from_zero, int zero, int low, int high,
                            code *restrict columns, code *restrict out, int out_width, int first, int last) {
    int8_depthwise_rows@(in, height, width, channels, stride, top, left, w, weight_zero, bias, factor, from_zero, zero,
                         low, high, columns, out, out_width, first, last, 0);
}

/* The same; of two pixels, eight channels each lie in turn. */
INLINE void int8_depthwise_pairs@(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                                  int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                  const float *restrict factor, int from_zero, int zero, int low, int high,
                                  code *restrict columns, code *restrict out, int out_width, int first, int last) {
    int8_depthwise_rows@(in, height, width, channels, stride, top, left, w, weight_zero, bias, factor, from_zero, zero,
                         low, high, columns, out, out_width, first, last, 1);
}
