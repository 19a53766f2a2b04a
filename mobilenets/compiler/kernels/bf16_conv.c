/* As conv@, of bf16: the pixels under a row of the kernel lie one behind the other, so that each row of it is one sum of
 * pairs. w: panels of nr vectors, each [3][pairs][nr * @][2]; the last pair is half empty where 3 * depth is odd. */
INLINE void bf16_conv_tile@(int mr, int nr, const uint16_t *restrict in, int row, int pixel, int pairs,
                            const uint16_t *restrict w, const float *restrict bias, float limit, uint16_t *restrict out,
                            int channels) {
    vec@ sum[MR_MAX * NR_MAX];
    begin@(sum, mr, nr, bias);
    for (int y = 0; y < 3; y++) bf16_multiply@(sum, mr, nr, in + y * row, pixel, w + y * pairs * 2 * nr * @, pairs);
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) put@(out, i * channels + j * @, activate@(sum[i * nr + j], limit), 2);
}

INLINE void bf16_conv@(int mr, int nr, const uint16_t *restrict in, int width, int depth, int stride, int down,
                       int right, const uint16_t *restrict w, const float *restrict bias, float limit,
                       uint16_t *restrict out, int out_width, int channels, int first, int last) {
    const int row = (width + 2) * depth, step = stride * depth, pairs = (3 * depth + 1) / 2;
    for (int y = first; y < last; y++) {
        const uint16_t *from = in + (y * stride + down) * row + right * depth;
        uint16_t *to = out + ((y + 1) * (out_width + 2) + 1) * channels;
        for (int n = 0; n < channels; n += nr * @) {
            const uint16_t *panel = w + n * 6 * pairs;
            int x = 0;
            for (; x + mr <= out_width; x += mr)
                bf16_conv_tile@(mr, nr, from + x * step, row, step, pairs, panel, bias + n, limit, to + x * channels + n,
                                channels);
            for (; x < out_width; x++)
                bf16_conv_tile@(1, nr, from + x * step, row, step, pairs, panel, bias + n, limit, to + x * channels + n,
                                channels);
        }
    }
}
