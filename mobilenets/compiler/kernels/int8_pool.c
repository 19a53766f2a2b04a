/* The mean of all pixels, @ channels at a time: the sum of what they stand for, times factor. */
INLINE void int8_pool@(const uint8_t *restrict in, int pixels, int channels, int from_zero, float factor, int zero,
                       int low, int high, code *restrict out) {
    typedef uint8_t part@ __attribute__((vector_size(@), aligned(1), may_alias));
    for (int c = 0; c < channels; c += @) {
        ints@ sum = (ints@){0} - pixels * from_zero;
        for (int p = 0; p < pixels; p++) sum += __builtin_convertvector(*(const part@ *)(in + p * channels + c), ints@);
        sum = nearest@(sum, factor - (reals@){0}, (float)(high - zero));
        codes@(narrow@(sum, sum, sum, sum, zero, low), 0, out + c);
    }
}
