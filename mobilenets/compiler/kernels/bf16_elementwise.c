/* As add@ and scale@, of bf16: computed in floats, and rounded once. */
INLINE void bf16_add@(const uint16_t *restrict in, int width, int channels, float limit, uint16_t *restrict out,
                      int first, int last) {
    for (int y = first; y < last; y++) {
        const int row = ((y + 1) * (width + 2) + 1) * channels;
        for (int i = row; i < row + width * channels; i += @) {
            const vec@ sum = widen@(*(const halves@ *)(out + i)) + widen@(*(const halves@ *)(in + i));
            put@(out, i, activate@(sum, limit), 2);
        }
    }
}

INLINE void bf16_scale@(const uint16_t *restrict in, int width, int channels, uint16_t *restrict out, int first,
                        int last) {
    for (int y = first; y < last; y++)
        for (int x = 0; x < width; x++) {
            uint16_t *restrict to = out + ((y + 1) * (width + 2) + x + 1) * channels;
            for (int c = 0; c < channels; c += @)
                put@(to, c, widen@(*(const halves@ *)(to + c)) * widen@(*(const halves@ *)(in + c)), 2);
        }
}
