/* A depthwise convolution of a map that never is in memory as a whole: a block of nr * @ channels of it at a time, some
 * rows with the border that padding adds, is computed by a pointwise convolution of the bordered image in (or copied
 * from there, where depth is 0), and read by the depthwise convolution before the next block is begun. Blocks
 * are floats, so that of bf16 the map in between is not rounded. ELEMENT is that of images and of the expansion. */
INLINE void depthwise_block_tile@(int kernel, int mr, int nr, const float *restrict in, int row, int stride,
                                  const float *restrict w, int channels, const float *restrict bias, float limit,
                                  ELEMENT *restrict out, int pixel) {
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
        UNROLL for (int j = 0; j < nr; j++) image_store@(out + i * pixel + j * @, activate@(sum[i * nr + j], limit));
}

/* Rows first..last-1 of the output go to out, where rows lie out_row and pixels out_pixel apart. flat has the space of
 * the pixels of the input that they see, one after the other; blocks that of all blocks, `high` rows each, of which the
 * last serve the rows that follow where `again` says that those before have just been computed (`step`: the floats from
 * block to block, 0 where nothing follows). */
INLINE void expanded@(int kernel, int mr, int nr, int dw_mr, int deep, const ELEMENT *restrict in, int height,
                      int width, int pixel, int depth, int stride, int top, int left, const ELEMENT *restrict ex,
                      const float *restrict ex_bias, float ex_limit, const float *restrict w,
                      const float *restrict bias, float limit, int channels, ELEMENT *restrict flat,
                      float *restrict blocks, int high, int step, int again, ELEMENT *restrict out, int out_row,
                      int out_pixel, int out_width, int first, int last) {
    const int wide = (out_width - 1) * stride + kernel, across = wide > left + width ? wide : left + width;
    const int row = across * nr * @, kept = again ? kernel - stride : 0;
    const int from = first * stride - top + kept, to = (last - 1) * stride - top + kernel;
    const int low = from < 0 ? 0 : from, end = to > height ? height : to;
    if (depth) rows(in, width, (int)sizeof(ELEMENT) * pixel, flat, low, end);
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
                           image_load@(in + ((y + 1) * (width + 2) + x + 1) * pixel + c + j * @));
        }
        if (depth)
            expansion@(mr, nr, deep, flat, pixel, depth, ex + c * depth, ex_bias + c, ex_limit,
                       block + (low - from + kept) * row + left * nr * @, width, row, (end - low) * width);
        for (int y = first; y < last; y++)
            for (int x = 0; x < out_width; x += dw_mr) {
                const int at = x + dw_mr <= out_width ? x : out_width - dw_mr;
                depthwise_block_tile@(kernel, dw_mr, nr, block + (y - first) * stride * row + at * stride * nr * @, row,
                                      stride, w + c, channels, bias + c, limit,
                                      out + (y - first) * out_row + at * out_pixel + c, out_pixel);
            }
    }
}
