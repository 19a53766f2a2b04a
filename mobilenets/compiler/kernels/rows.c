/* The pixels of rows first..last-1 of a bordered image, of `pixel` bytes, one after the other without the border. */
INLINE void rows(const void *restrict in, int width, int pixel, void *restrict out, int first, int last) {
    for (int y = first; y < last; y++)
        __builtin_memcpy((unsigned char *)out + (y - first) * width * pixel,
                         (const unsigned char *)in + ((y + 1) * (width + 2) + 1) * pixel, (size_t)(width * pixel));
}
