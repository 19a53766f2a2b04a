/* As image, to bf16, which bytes fit exactly. Behind the last row lies one element more, for whoever reads pairs. */
INLINE void bf16_image(const uint8_t *restrict in, int height, int width, int channels, uint16_t *restrict out, int first,
                       int last) {
    const int row = (width + 2) * channels;
    for (int y = first; y < last; y++) {
        const uint8_t *restrict from = in + y * width * channels;
        uint16_t *restrict to = out + (y + 1) * row + channels;
        for (int i = 0; i < width * channels; i++) {
            const union {
                float value;
                uint32_t bits;
            } byte = {(float)from[i]};
            to[i] = (uint16_t)(byte.bits >> 16);
        }
    }
    if (last == height) out[(height + 2) * row] = 0;
}
