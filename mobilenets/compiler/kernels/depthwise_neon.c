/* A depthwise 3x3 convolution: rows first..last-1 of the output, from the bordered image in ([height + 2][width + 2]
 * pixels of `channels` floats) to `out`, pixels one after the other without a border. `down` and `right` skip what the
 * border has too much where the padding has no pixel above or on the left. The nine weights of four channels stay in
 * registers for a row, and so do the sums of up to seven pixels (four where the stride is 2) and one row of what they
 * see: behind the last product of a number, that of the next row is loaded. */
INLINE void depthwise_pixels4(int count, const float *restrict in, int row, int channels, int stride, const vec4 *w,
                              const vec4 *restrict bias, float limit, float *restrict out) {
    vec4 sum[7], v[9];
    UNROLL for (int c = 0; c < (count - 1) * stride + 3; c++) LOAD(v[c], *(const vec4 *)(in + c * channels));
    UNROLL for (int i = 0; i < count; i++) LOAD(sum[i], *bias);
    UNROLL for (int y = 0; y < 3; y++)
        UNROLL for (int x = 0; x < 3; x++)
            UNROLL for (int i = 0; i < count; i++) {
                const int c = i * stride + x;
                MULTIPLY(sum[i], w[y * 3 + x], v[c]);
                if (y < 2 && (i == 0 || x + stride > 2)) LOAD(v[c], *(const vec4 *)(in + (y + 1) * row + c * channels));
            }
    UNROLL for (int i = 0; i < count; i++) store4(out + i * channels, activate4(sum[i], limit));
}

INLINE void depthwise4(int mr, int nr, const float *restrict in, int width, int channels, int stride, int down,
                       int right, const float *restrict w, const float *restrict bias, float limit,
                       float *restrict out, int out_width, int first, int last) {
    (void)mr, (void)nr; /* it has its own tiles */
    const int row = (width + 2) * channels, most = stride == 1 ? 7 : 4, tiles = (out_width + most - 1) / most;
    const int count = (out_width + tiles - 1) / tiles;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += 4) {
            vec4 taps[9];
            UNROLL for (int i = 0; i < 9; i++) taps[i] = load4(w + i * channels + c);
            const vec4 *restrict begin = (const vec4 *)(bias + c);
            int x = 0;
            for (; x + count <= out_width; x += count)
                depthwise_pixels4(count, from + x * stride * channels + c, row, channels, stride, taps, begin, limit,
                                  out + x * channels + c);
            if (x < out_width)
                depthwise_pixels4(out_width % count, from + x * stride * channels + c, row, channels, stride, taps,
                                  begin, limit, out + x * channels + c);
        }
        out += out_width * channels;
    }
}
