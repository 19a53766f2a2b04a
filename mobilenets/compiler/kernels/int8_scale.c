/* Pixels first..last-1 of out: times a number a channel, halves to even. */
INLINE void int8_scale@(const uint8_t *restrict in, int channels, int out_zero, int in_zero, float factor, int zero,
                        int low, int high, uint8_t *restrict out, int first, int last) {
    for (int c = 0; c < channels; c += @) {
        const ints@ gate = widen@(in + c) - in_zero;
        for (int p = first; p < last; p += 4) {
            uint8_t *to[4];
            ints@ x[4];
            UNROLL for (int i = 0; i < 4; i++) {
                to[i] = out + (p + i < last ? p + i : p) * channels + c; /* the first again */
                x[i] = nearest@((widen@(to[i]) - out_zero) * gate, factor - (reals@){0}, (float)(high - zero));
            }
            const bytes@ whole = narrow@(x[0], x[1], x[2], x[3], zero, low);
            UNROLL for (int i = 0; i < 4; i++) __builtin_memcpy(to[i], (const uint8_t *)&whole + i * @, @);
        }
    }
}
