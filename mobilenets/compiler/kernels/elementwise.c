/* Rows first..last-1 of the bordered image out: plus those of another one, activated; or times a number a channel. */
INLINE void add@(const float *restrict in, int width, int channels, float limit, float *restrict out, int first,
                 int last) {
    for (int y = first; y < last; y++) {
        const int row = ((y + 1) * (width + 2) + 1) * channels;
        for (int i = row; i < row + width * channels; i += @)
            store@(out + i, activate@(load@(out + i) + load@(in + i), limit));
    }
}

INLINE void scale@(const float *restrict in, int width, int channels, float *restrict out, int first, int last) {
    for (int y = first; y < last; y++)
        for (int x = 0; x < width; x++) {
            float *restrict to = out + ((y + 1) * (width + 2) + x + 1) * channels;
            for (int c = 0; c < channels; c += @) store@(to + c, load@(to + c) * load@(in + c));
        }
}
