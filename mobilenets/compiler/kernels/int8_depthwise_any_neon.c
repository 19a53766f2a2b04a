/* A depthwise convolution of any size: rows first..last-1 of the output, from and to images of bytes. Taps outside the
 * image see the byte `from_zero`. w: [kernel][kernel][channels]. */
INLINE void int8_depthwise_any@(int kernel, const uint8_t *restrict in, int height, int width, int channels, int stride,
                                int top, int left, const int8_t *restrict w, int weight_zero,
                                const int32_t *restrict bias, const float *restrict factor, int from_zero, int zero,
                                int low, int high, code *restrict columns, uint8_t *restrict out, int out_width,
                                int first, int last) {
    (void)columns; /* it needs no copy of its input */
    for (int y = first; y < last; y++)
        for (int x = 0; x < out_width; x++) {
            uint8_t *restrict to = out + (y * out_width + x) * channels;
            for (int c = 0; c < channels; c += @) {
                int32_t sums[@];
                for (int i = 0; i < @; i++) sums[i] = bias[c + i];
                for (int i = 0; i < kernel; i++)
                    for (int j = 0; j < kernel; j++) {
                        const int v = y * stride + i - top, u = x * stride + j - left;
                        const int inside = v >= 0 && v < height && u >= 0 && u < width;
                        const uint8_t *restrict from = in + (inside ? (v * width + u) * channels + c : 0);
                        const int8_t *restrict taps = w + (i * kernel + j) * channels + c;
                        for (int n = 0; n < @; n++)
                            sums[n] += (inside ? from[n] : from_zero) * (taps[n] - weight_zero);
                    }
                const ints@ near = nearest@(ints_at@(sums), reals_at@(factor + c), (float)(high - zero));
                for (int n = 0; n < @; n++) {
                    const int byte = near[n] + zero;
                    to[c + n] = (uint8_t)(byte < low ? low : byte);
                }
            }
        }
}
