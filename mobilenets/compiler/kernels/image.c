/* The image: rows first..last-1 of bytes [height][width][channels] into the bordered image of floats. Normalisation is
 * in the first convolution's weights, so the border is the pixel that is normalised to zero. */
INLINE void image(const uint8_t *restrict in, int width, int channels, float *restrict out, int first, int last) {
    for (int y = first; y < last; y++) {
        const uint8_t *restrict from = in + y * width * channels;
        float *restrict to = out + ((y + 1) * (width + 2) + 1) * channels;
        for (int i = 0; i < width * channels; i++) to[i] = (float)from[i];
    }
}
