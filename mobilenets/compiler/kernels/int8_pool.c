/* The mean of all pixels, @ channels at a time: the sum of what they stand for, times factor. Four pixels are added up
 * at once, as a column of four rows is. */
INLINE void int8_pool@(const uint8_t *restrict in, int pixels, int channels, int from_zero, float factor, int zero,
                       int low, int high, code *restrict out) {
    const uint8_t nothing[@] = {0};
    code four[4 * @];
    for (int c = 0; c < channels; c += @) {
        ints@ sum = (ints@){0} - pixels * from_zero;
        for (int p = 0; p < pixels; p += 4) {
            const uint8_t *from = in + p * channels + c;
            column@(from, p + 1 < pixels ? from + channels : nothing, p + 2 < pixels ? from + 2 * channels : nothing,
                    p + 3 < pixels ? from + 3 * channels : nothing, four, GROUP * @);
            UNROLL for (int i = 0; i < PLANES; i++)
                sum = dot@(sum, *(const group@ *)(four + i * GROUP * @), ones@());
        }
        sum = nearest@(sum, factor - (reals@){0}, (float)(high - zero));
        codes@(narrow@(sum, sum, sum, sum, zero, low), 0, out + c);
    }
}
