/* Pixels first..last-1 of out: times a number a channel, halves to even. */
INLINE void int8_scale@(const uint8_t *restrict in, int channels, int out_zero, int in_zero, float factor, int zero,
                        int low, int high, uint8_t *restrict out, int first, int last) {
    for (int p = first; p < last; p++)
        for (int c = 0; c < channels; c += @) {
            uint8_t *restrict to = out + p * channels + c;
            int32_t products[@];
            for (int n = 0; n < @; n++) products[n] = (to[n] - out_zero) * (in[c + n] - in_zero);
            const ints@ near = nearest@(ints_at@(products), factor - (reals@){0}, (float)(high - zero));
            for (int n = 0; n < @; n++) {
                const int byte = near[n] + zero;
                to[n] = (uint8_t)(byte < low ? low : byte);
            }
        }
}
