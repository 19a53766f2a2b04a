/* Bytes first..last-1 of out, a multiple of @: plus those of in, by two multipliers and a shift that rounds halves up. */
INLINE void int8_add@(const uint8_t *restrict in, int first_factor, int factor, int bias, int shift, int zero, int low,
                      int high, uint8_t *restrict out, int first, int last) {
    for (int n = first; n < last; n += 4 * @) {
        ints@ x[4];
        UNROLL for (int i = 0; i < 4; i++) {
            const int at = n + i * @ < last ? n + i * @ : n; /* what is too much is not written */
            const ints@ sum = (widen@(out + at) * first_factor + widen@(in + at) * factor + bias) >> shift;
            const ints@ above = sum > high - zero;
            x[i] = (sum & ~above) | ((high - zero) & above);
        }
        const bytes@ whole = narrow@(x[0], x[1], x[2], x[3], zero, low);
        __builtin_memcpy(out + n, &whole, (size_t)(last - n < 4 * @ ? last - n : 4 * @));
    }
}
