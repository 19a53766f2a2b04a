/* A depthwise 3x3 convolution: rows first..last-1 of the output, from the bordered image in ([height + 2][width + 2]
 * pixels of `channels` floats) to `out`, pixels one after the other without a border. `down` and `right` skip what the
 * border has too much where the padding has no pixel above or on the left. mr pixels x nr vectors of channels at a time:
 * as many sums as hide the latency of a multiplication, and whole cache lines. */
INLINE void depthwise_tile@(int mr, int nr, const float *restrict in, int row, int channels, int stride,
                            const float *restrict w, const float *restrict bias, float limit, float *restrict out) {
    vec@ sum[DW_MAX];
    begin@(sum, mr, nr, bias);
    UNROLL for (int y = 0; y < 3; y++)
        UNROLL for (int x = 0; x < 3; x++) {
            vec@ weight[2];
            UNROLL for (int j = 0; j < nr; j++) weight[j] = load@(w + (y * 3 + x) * channels + j * @);
            UNROLL for (int i = 0; i < mr; i++)
                UNROLL for (int j = 0; j < nr; j++)
                    sum[i * nr + j] += weight[j] * load@(in + y * row + (i * stride + x) * channels + j * @);
        }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) store@(out + i * channels + j * @, activate@(sum[i * nr + j], limit));
}

/* out_width is at least mr, and channels are a multiple of nr * @. The last tile of a row may overlap the one before. */
INLINE void depthwise@(int mr, int nr, const float *restrict in, int width, int channels, int stride, int down,
                       int right, const float *restrict w, const float *restrict bias, float limit,
                       float *restrict out, int out_width, int first, int last) {
    const int row = (width + 2) * channels;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += nr * @)
            for (int x = 0; x < out_width; x += mr) {
                const int at = x + mr <= out_width ? x : out_width - mr;
                depthwise_tile@(mr, nr, from + at * stride * channels + c, row, channels, stride, w + c, bias + c, limit,
                                out + at * channels + c);
            }
        out += out_width * channels;
    }
}
