/* A depthwise convolution of any size: rows first..last-1 of the output, from the bordered image in, to `out`, where rows
 * lie out_row floats apart. Taps outside the image are left out; `top` and `left` are the pixels of padding there. */
INLINE void depthwise_any@(const float *restrict in, int height, int width, int channels, int kernel, int stride, int top,
                           int left, const float *restrict w, const float *restrict bias, float limit,
                           float *restrict out, int out_row, int out_width, int first, int last) {
    for (int y = first; y < last; y++) {
        const int v = y * stride - top, low = v < 0 ? -v : 0, high = v + kernel > height ? height - v : kernel;
        for (int x = 0; x < out_width; x++) {
            const int u = x * stride - left, from = u < 0 ? -u : 0, to = u + kernel > width ? width - u : kernel;
            for (int c = 0; c < channels; c += @) {
                vec@ sum = load@(bias + c);
                for (int i = low; i < high; i++)
                    for (int j = from; j < to; j++)
                        sum += load@(w + (i * kernel + j) * channels + c) *
                               load@(in + ((v + i + 1) * (width + 2) + u + j + 1) * channels + c);
                store@(out + (y - first) * out_row + x * channels + c, activate@(sum, limit));
            }
        }
    }
}
