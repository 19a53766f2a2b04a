/* The border of rows first..last-1 of a bordered image: the pixel `value`, of `pixel` bytes, left and right, and above or
 * below it; zeros where it is NULL. Bytes, so that one function serves every type. */
INLINE void border(void *restrict out, int height, int width, int pixel, const void *restrict value, int first,
                   int last) {
    const unsigned char *restrict from = value;
    if (first == last) return; /* another part has the row above or below */
    for (int y = first == 0 ? -1 : first; y < (last == height ? height + 1 : last); y++) {
        unsigned char *restrict to = (unsigned char *)out + (y + 1) * (width + 2) * pixel;
        const int step = y < 0 || y == height ? 1 : width + 1;
        for (int x = 0; x < width + 2; x += step)
            for (int i = 0; i < pixel; i++) to[x * pixel + i] = from ? from[i] : 0;
    }
}
