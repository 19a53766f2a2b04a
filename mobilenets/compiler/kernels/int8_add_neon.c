/* Bytes first..last-1 of out: plus those of in, by two multipliers and a shift that rounds halves up. */
INLINE void int8_add@(const uint8_t *restrict in, int first_factor, int factor, int bias, int shift, int zero, int low,
                      int high, uint8_t *restrict out, int first, int last) {
    for (int i = first; i < last; i++) {
        const int byte = ((first_factor * out[i] + factor * in[i] + bias) >> shift) + zero;
        out[i] = (uint8_t)(byte < low ? low : byte > high ? high : byte);
    }
}
