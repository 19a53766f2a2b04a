/* The mean over all pixels of a bordered image. */
INLINE void pool(const float *restrict in, int height, int width, int channels, float *restrict out) {
    for (int c = 0; c < channels; c++) out[c] = 0.0f;
    for (int y = 1; y <= height; y++)
        for (int x = 1; x <= width; x++)
            for (int c = 0; c < channels; c++) out[c] += in[(y * (width + 2) + x) * channels + c];
    for (int c = 0; c < channels; c++) out[c] *= 1.0f / (float)(height * width);
}
