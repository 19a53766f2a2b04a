/* Bytes first..last-1 of out: what a table says of each. */
INLINE void int8_look_up(const uint8_t *restrict table, uint8_t *restrict out, int first, int last) {
    for (int i = first; i < last; i++) out[i] = table[out[i]];
}
