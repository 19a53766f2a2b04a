/* As depthwise_any@, of bf16; weights are floats. `pixel` elements from pixel to pixel of out. */
INLINE void bf16_depthwise_any@(const uint16_t *restrict in, int height, int width, int channels, int kernel, int stride,
                                int top, int left, const float *restrict w, const float *restrict bias, float limit,
                                uint16_t *restrict out, int out_row, int pixel, int out_width, int first, int last) {
    for (int y = first; y < last; y++) {
        const int v = y * stride - top, low = v < 0 ? -v : 0, high = v + kernel > height ? height - v : kernel;
        for (int x = 0; x < out_width; x++) {
            const int u = x * stride - left, from = u < 0 ? -u : 0, to = u + kernel > width ? width - u : kernel;
            for (int c = 0; c < channels; c += @) {
                vec@ sum = load@(bias + c);
                for (int i = low; i < high; i++)
                    for (int j = from; j < to; j++)
                        sum += load@(w + (i * kernel + j) * channels + c) *
                               widen@(*(const halves@ *)(in + ((v + i + 1) * (width + 2) + u + j + 1) * channels + c));
                put@(out, (y - first) * out_row + x * pixel + c, activate@(sum, limit), 2);
            }
        }
    }
}
