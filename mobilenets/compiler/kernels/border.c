/* The border of rows first..last-1 of a bordered image: the pixel `value` left and right, and above or below it. */
INLINE void border(float *restrict out, int height, int width, int channels, const float *restrict value, int first,
                   int last) {
    const int row = (width + 2) * channels;
    for (int y = first == 0 ? -1 : first; y < (last == height ? height + 1 : last); y++) {
        float *restrict to = out + (y + 1) * row;
        const int step = y < 0 || y == height ? 1 : width + 1;
        for (int x = 0; x < width + 2; x += step)
            for (int c = 0; c < channels; c++) to[x * channels + c] = value ? value[c] : 0.0f;
    }
}
