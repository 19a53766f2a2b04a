/* The mean of all pixels, four channels at a time: the sum of what they stand for, times factor. */
INLINE void int8_pool4(const uint8_t *restrict in, int pixels, int channels, int from_zero, float factor, int zero,
                       int low, int high, code *restrict out) {
    typedef uint8_t four __attribute__((vector_size(4), aligned(1), may_alias));
    for (int c = 0; c < channels; c += 4) {
        ints4 sum = (ints4){0} - pixels * from_zero;
        for (int p = 0; p < pixels; p++) sum += __builtin_convertvector(*(const four *)(in + p * channels + c), ints4);
        sum = whole4(sum, factor - (reals4){0});
        const bytes4 bytes = narrow4(sum, sum, sum, sum, zero, low, high);
        for (int i = 0; i < 4; i++) out[c + i] = code_of(bytes[i]);
    }
}
