/* The mean over all pixels of a bordered image, by sums of floats: halves would lose the last pixels of many. */
INLINE void pool(const _Float16 *restrict in, int height, int width, int channels, _Float16 *restrict out) {
    for (int c = 0; c < channels; c += 8) {
        float sum[8] = {0};
        for (int y = 1; y <= height; y++)
            for (int x = 1; x <= width; x++)
                UNROLL for (int i = 0; i < 8; i++) sum[i] += (float)in[(y * (width + 2) + x) * channels + c + i];
        UNROLL for (int i = 0; i < 8; i++) out[c + i] = (_Float16)(sum[i] * (1.0f / (float)(height * width)));
    }
}
