/* A full 3x3 convolution: rows first..last-1 of the output, from the bordered image in, into the bordered image out.
 * w: panels of nr vectors, each [3][3][depth][nr * @]; `pixel` floats lie between two pixels of the input; out_width
 * is at least mr. */
INLINE void conv_tile@(int mr, int nr, const float *restrict in, int row, int pixel, int depth, int stride,
                       const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int channels) {
    vec@ sum[MR_MAX * NR_MAX];
    begin@(sum, mr, nr, bias);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            multiply@(sum, mr, nr, in + y * row + x * pixel, stride * pixel, w + (y * 3 + x) * depth * nr * @, depth);
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) store@(out + i * channels + j * @, activate@(sum[i * nr + j], limit));
}

INLINE void conv@(int mr, int nr, const float *restrict in, int width, int pixel, int depth, int stride, int down,
                  int right, const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                  int out_width, int channels, int first, int last) {
    const int row = (width + 2) * pixel;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * pixel;
        float *to = out + ((y + 1) * (out_width + 2) + 1) * channels;
        for (int n = 0; n < channels; n += nr * @) {
            const float *panel = w + n * 9 * depth;
            for (int x = 0; x + mr <= out_width; x += mr)
                conv_tile@(mr, nr, from + x * stride * pixel, row, pixel, depth, stride, panel, bias + n, limit,
                           to + x * channels + n, channels);
            if (out_width % mr) /* some pixels again */
                conv_tile@(mr, nr, from + (out_width - mr) * stride * pixel, row, pixel, depth, stride, panel, bias + n,
                           limit, to + (out_width - mr) * channels + n, channels);
        }
    }
}
