/* As expand.c, of bf16: blocks are floats, so that the map in between is not rounded. */
INLINE void bf16_depthwise_block_tile@(int kernel, int mr, int nr, const float *restrict in, int row, int stride,
                                       const float *restrict w, int channels, const float *restrict bias, float limit,
                                       uint16_t *restrict out, int pixel) {
    vec@ sum[DW_MAX];
    begin@(sum, mr, nr, bias);
    UNROLL for (int y = 0; y < kernel; y++)
        UNROLL for (int x = 0; x < kernel; x++) {
            vec@ weight[NR_MAX];
            UNROLL for (int j = 0; j < nr; j++) weight[j] = load@(w + (y * kernel + x) * channels + j * @);
            UNROLL for (int i = 0; i < mr; i++)
                UNROLL for (int j = 0; j < nr; j++)
                    sum[i * nr + j] += weight[j] * load@(in + y * row + ((i * stride + x) * nr + j) * @);
        }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) put@(out, i * pixel + j * @, activate@(sum[i * nr + j], limit), 2);
}

INLINE void bf16_expanded@(int kernel, int mr, int nr, int dw_mr, int deep, const uint16_t *restrict in, int height,
                           int width, int pixel, int depth, int stride, int top, int left, const uint16_t *restrict ex,
                           const float *restrict ex_bias, float ex_limit, const float *restrict w,
                           const float *restrict bias, float limit, int channels, uint16_t *restrict flat,
                           float *restrict blocks, int high, int step, int again, uint16_t *restrict out, int out_row,
                           int out_pixel, int out_width, int first, int last) {
    const int wide = (out_width - 1) * stride + kernel, across = wide > left + width ? wide : left + width;
    const int row = across * nr * @, kept = again ? kernel - stride : 0;
    const int from = first * stride - top + kept, to = (last - 1) * stride - top + kernel;
    const int low = from < 0 ? 0 : from, end = to > height ? height : to;
    if (depth) rows(in, width, 2 * pixel, flat, low, end);
    for (int c = 0; c < channels; c += nr * @) {
        float *restrict block = blocks + c / (nr * @) * step;
        if (again) __builtin_memmove(block, block + (high - kept) * row, sizeof(float) * (size_t)(kept * row));
        for (int y = from; y < to; y++) {
            float *restrict at = block + (y - from + kept) * row;
            const int inside = y >= low && y < end;
            for (int i = 0; i < (inside ? left * nr * @ : row); i++) at[i] = 0.0f;
            for (int i = (left + width) * nr * @; i < (inside ? row : 0); i++) at[i] = 0.0f;
            for (int x = 0; !depth && inside && x < width; x++)
                UNROLL for (int j = 0; j < nr; j++)
                    store@(at + ((left + x) * nr + j) * @,
                           widen@(*(const halves@ *)(in + ((y + 1) * (width + 2) + x + 1) * pixel + c + j * @)));
        }
        if (depth)
            bf16_expansion@(mr, nr, deep, flat, pixel, depth, ex + c * depth, ex_bias + c, ex_limit,
                            block + (low - from + kept) * row + left * nr * @, width, row, (end - low) * width);
        for (int y = first; y < last; y++)
            for (int x = 0; x < out_width; x += dw_mr) {
                const int at = x + dw_mr <= out_width ? x : out_width - dw_mr;
                bf16_depthwise_block_tile@(kernel, dw_mr, nr, block + (y - first) * stride * row + at * stride * nr * @,
                                           row, stride, w + c, channels, bias + c, limit,
                                           out + (y - first) * out_row + at * out_pixel + c, out_pixel);
            }
    }
}
