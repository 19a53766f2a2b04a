/* Pixels first..last-1 of out, four channels at a time: times a number a channel, halves to even. */
INLINE void int8_scale@(const uint8_t *restrict in, int channels, int out_zero, int in_zero, float factor, int zero,
                        int low, int high, uint8_t *restrict out, int first, int last) {
    for (int p = first; p < last; p++)
        for (int c = 0; c < channels; c += 4) {
            uint8_t *restrict to = out + p * channels + c;
            const ints4 product = (widen4(to) - out_zero) * (widen4(in + c) - in_zero);
            const ints4 near = nearest4(product, factor - (reals4){0}, (float)(high - zero));
            for (int n = 0; n < 4; n++) to[n] = (uint8_t)(near[n] + zero < low ? low : near[n] + zero);
        }
}
