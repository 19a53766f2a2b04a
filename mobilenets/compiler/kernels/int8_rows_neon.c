/* Rows y..y+count-1 of an image ([height][width] pixels of `channels` bytes) as codes, `pitch` apart, with the border
 * that padding adds: the byte `zero`. What is left of the pitch is filled with it. */
INLINE void int8_rows(const uint8_t *restrict in, int height, int width, int channels, int y, int count, int left,
                      int zero, code *restrict to, int pitch) {
    for (int i = 0; i < count; i++) {
        const int inside = y + i >= 0 && y + i < height;
        const int start = left * channels, rest = pitch - start;
        const int end = start + (!inside ? 0 : width * channels < rest ? width * channels : rest);
        code *restrict row = to + i * pitch;
        for (int x = 0; x < start; x++) row[x] = code_of(zero);
        codes(in + (inside ? (y + i) * width * channels : 0), end - start, row + start);
        for (int x = end; x < pitch; x++) row[x] = code_of(zero);
    }
}
