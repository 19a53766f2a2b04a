/* As pool, of bf16: sums are floats, the means bf16. */
INLINE void bf16_pool@(const uint16_t *restrict in, int height, int width, int channels, uint16_t *restrict out) {
    for (int c = 0; c < channels; c += @) {
        vec@ sum = {0};
        for (int y = 1; y <= height; y++)
            for (int x = 1; x <= width; x++) sum += widen@(*(const halves@ *)(in + (y * (width + 2) + x) * channels + c));
        put@(out, c, sum * (1.0f / (float)(height * width)), 2);
    }
}
