/* As depthwise@, of bf16: 2 @ channels at a time, which are written as those of even numbers and then those of odd ones,
 * as a vector of pairs falls apart. w: floats [3][3][channels], in that order. `pixel` elements from pixel to pixel. */
INLINE void bf16_depthwise_pixels@(int count, const uint16_t *restrict in, int row, int channels, int stride,
                                   const float *restrict w, const float *restrict bias, float limit,
                                   uint16_t *restrict out, int pixel) {
    vec@ even[DW_MAX], odd[DW_MAX];
    UNROLL for (int i = 0; i < count; i++) {
        even[i] = load@(bias);
        odd[i] = load@(bias + @);
    }
    UNROLL for (int y = 0; y < 3; y++) {
        pairs@ columns[2 * DW_MAX + 1];
        UNROLL for (int x = 0; x < (count - 1) * stride + 3; x++)
            columns[x] = load_pairs@(in + y * row + x * channels);
        UNROLL for (int x = 0; x < 3; x++) {
            const float *at = w + (y * 3 + x) * channels;
            UNROLL for (int i = 0; i < count; i++) {
                even[i] += load@(at) * first@(columns[i * stride + x]);
                odd[i] += load@(at + @) * second@(columns[i * stride + x]);
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++) {
        put@(out, i * pixel, activate@(even[i], limit), 2);
        put@(out, i * pixel + @, activate@(odd[i], limit), 2);
    }
}

INLINE void bf16_depthwise@(const uint16_t *restrict in, int width, int channels, int stride, int down, int right,
                            const float *restrict w, const float *restrict bias, float limit, uint16_t *restrict out,
                            int pixel, int out_width, int first, int last) {
    const int row = (width + 2) * channels;
    for (int y = first; y < last; y++) {
        const uint16_t *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += 2 * @) {
            int x = 0;
            for (; x + DW_MAX <= out_width; x += DW_MAX)
                bf16_depthwise_pixels@(DW_MAX, from + x * stride * channels + c, row, channels, stride, w + c, bias + c,
                                       limit, out + x * pixel + c, pixel);
            for (; x < out_width; x++)
                bf16_depthwise_pixels@(1, from + x * stride * channels + c, row, channels, stride, w + c, bias + c,
                                       limit, out + x * pixel + c, pixel);
        }
        out += out_width * pixel;
    }
}
