/* A depthwise 3x3 convolution: rows first..last-1 of the output, from the bordered image in ([height + 2][width + 2]
 * pixels of `channels` floats) to `out`, pixels one after the other without a border. `down` and `right` skip what the
 * border has too much where the padding has no pixel above or on the left. A column of the input is read when the
 * products of the one before are in the sums. A tile is up to 8 pixels x 1 vector, whatever mr and nr say; the last one
 * of a row may overlap the one before. */
INLINE void depthwise_pixels@(int count, const float *restrict in, int row, int channels, int stride,
                              const float *restrict w, vec@ bias, float limit, float *restrict out) {
    vec@ sum[8];
    UNROLL for (int i = 0; i < count; i++) sum[i] = bias;
    UNROLL for (int y = 0; y < 3; y++) {
        vec@ weight[3];
        UNROLL for (int x = 0; x < 3; x++) weight[x] = load@(w + (y * 3 + x) * channels);
        _Pragma("clang loop unroll(full)") for (int column = 0; column < (count - 1) * stride + 3; column++) {
            const vec@ pixel = load@(in + y * row + column * channels);
            UNROLL for (int x = 0; x < 3; x++) {
                const int i = (column - x) / stride;
                if (column < x || (column - x) % stride || i >= count) continue;
                sum[i] += weight[x] * pixel;
                __asm__ volatile("" : "+r"(sum[i]) : : "memory");
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++) store@(out + i * channels, activate@(sum[i], limit));
}

INLINE void depthwise@(int mr, int nr, const float *restrict in, int width, int channels, int stride, int down,
                       int right, const float *restrict w, const float *restrict bias, float limit,
                       float *restrict out, int out_width, int first, int last) {
    (void)mr, (void)nr;
    const int row = (width + 2) * channels, tiles = (out_width + 7) / 8, count = (out_width + tiles - 1) / tiles;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += @)
            for (int x = 0; x < out_width; x += count) {
                const int at = x + count <= out_width ? x : out_width - count;
                depthwise_pixels@(count, from + at * stride * channels + c, row, channels, stride, w + c,
                                  load@(bias + c), limit, out + at * channels + c);
            }
        out += out_width * channels;
    }
}
