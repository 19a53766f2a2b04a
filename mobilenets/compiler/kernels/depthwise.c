/* A depthwise 3x3 convolution: rows first..last-1 of the output, from the bordered image in ([height + 2][width + 2]
 * pixels of `channels` floats) to `out`, pixels one after the other without a border. `down` and `right` skip what the
 * border has too much where the padding has no pixel above or on the left. */
INLINE void depthwise_pixels@(int count, const float *restrict in, int row, int channels, int stride,
                              const float *restrict w, vec@ bias, float limit, float *restrict out) {
    vec@ sum[DW_MAX];
    UNROLL for (int i = 0; i < count; i++) sum[i] = bias;
    UNROLL for (int y = 0; y < 3; y++) {
        UNROLL for (int x = 0; x < 3; x++) {
            const vec@ weight = load@(w + (y * 3 + x) * channels);
            UNROLL for (int i = 0; i < count; i++)
                sum[i] += weight * load@(in + y * row + (i * stride + x) * channels);
        }
    }
    UNROLL for (int i = 0; i < count; i++) store@(out + i * channels, activate@(sum[i], limit));
}

INLINE void depthwise@(const float *restrict in, int width, int channels, int stride, int down, int right,
                       const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int out_width, int first, int last) {
    const int row = (width + 2) * channels;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += @) {
            int x = 0;
            for (; x + DW_MAX <= out_width; x += DW_MAX)
                depthwise_pixels@(DW_MAX, from + x * stride * channels + c, row, channels, stride, w + c,
                                  load@(bias + c), limit, out + x * channels + c);
            for (; x < out_width; x++)
                depthwise_pixels@(1, from + x * stride * channels + c, row, channels, stride, w + c, load@(bias + c),
                                  limit, out + x * channels + c);
        }
        out += out_width * channels;
    }
}
