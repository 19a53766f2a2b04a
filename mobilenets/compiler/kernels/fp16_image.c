/* As image, of halves: pixel - 128. */
INLINE void image(const uint8_t *restrict in, int width, int channels, _Float16 *restrict out, int first, int last) {
    for (int y = first; y < last; y++) {
        const uint8_t *restrict from = in + y * width * channels;
        _Float16 *restrict to = out + ((y + 1) * (width + 2) + 1) * channels;
        for (int i = 0; i < width * channels; i++) to[i] = (_Float16)(from[i] - 128);
    }
}
