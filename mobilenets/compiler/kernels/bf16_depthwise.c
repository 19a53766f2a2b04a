/* As depthwise@, of bf16: 2 @ elements at a time, as many pixels as they hold where the channels are fewer (stride 1 and a
 * width of at least those pixels then). w: floats [3][3][channels], of each 2 @ the even ones, then the odd ones; repeated
 * where channels are fewer. `pixel` elements from pixel to pixel of out. */
#define DW_PIXELS 4

INLINE void bf16_depthwise_pixels@(int count, const uint16_t *restrict in, int row, int channels, int step,
                                   const float *restrict w, int tap, const float *restrict bias, float limit,
                                   uint16_t *restrict out, int out_step) {
    vec@ even[DW_PIXELS], odd[DW_PIXELS];
    UNROLL for (int i = 0; i < count; i++) {
        even[i] = load@(bias);
        odd[i] = load@(bias + @);
    }
    UNROLL for (int y = 0; y < 3; y++) {
        UNROLL for (int x = 0; x < 3; x++) {
            const float *at = w + (y * 3 + x) * tap;
            UNROLL for (int i = 0; i < count; i++) {
                const pairs@ v = load_pairs@(in + y * row + x * channels + i * step);
                even[i] += load@(at) * first@(v);
                odd[i] += load@(at + @) * second@(v);
            }
        }
    }
    UNROLL for (int i = 0; i < count; i++)
        *(pairs@ *)(out + i * out_step) = joined@(activate@(even[i], limit), activate@(odd[i], limit));
}

INLINE void bf16_depthwise@(const uint16_t *restrict in, int width, int channels, int stride, int down, int right,
                            const float *restrict w, const float *restrict bias, float limit, uint16_t *restrict out,
                            int pixel, int out_width, int first, int last) {
    const int row = (width + 2) * channels, tap = channels < 2 * @ ? 2 * @ : channels, group = tap / channels;
    const int step = stride * group * channels;
    for (int y = first; y < last; y++) {
        const uint16_t *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += 2 * @) {
            int x = 0;
            for (; x + DW_PIXELS * group <= out_width; x += DW_PIXELS * group)
                bf16_depthwise_pixels@(DW_PIXELS, from + x * stride * channels + c, row, channels, step, w + c, tap,
                                       bias + c, limit, out + x * pixel + c, group * pixel);
            for (; x < out_width; x += group) {
                if (x > out_width - group) x = out_width - group; /* some pixels again */
                bf16_depthwise_pixels@(1, from + x * stride * channels + c, row, channels, step, w + c, tap, bias + c,
                                       limit, out + x * pixel + c, group * pixel);
            }
        }
        out += out_width * pixel;
    }
}
