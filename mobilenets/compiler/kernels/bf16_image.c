/* As image, to bf16, which bytes fit exactly. `pixel` elements from pixel to pixel, zeros behind the channels. */
INLINE void bf16_image(const uint8_t *restrict in, int width, int channels, uint16_t *restrict out, int pixel, int first,
                       int last) {
    for (int y = first; y < last; y++) {
        const uint8_t *restrict from = in + y * width * channels;
        uint16_t *restrict to = out + ((y + 1) * (width + 2) + 1) * pixel;
        for (int x = 0; x < width; x++)
            for (int c = 0; c < pixel; c++) {
                const union {
                    float value;
                    uint32_t bits;
                } byte = {c < channels ? (float)from[x * channels + c] : 0.0f};
                to[x * pixel + c] = (uint16_t)(byte.bits >> 16);
            }
    }
}
