/* The pixels under each window of 3x3 in rows first..last-1 of the output, one window behind the other: of each of its
 * rows the 3 * depth elements and, where they are odd, the one behind them. */
INLINE void bf16_patches(const uint16_t *restrict in, int width, int depth, int stride, int down, int right,
                         uint16_t *restrict out, int out_width, int first, int last) {
    const int row = (width + 2) * depth, run = (3 * depth + 1) / 2 * 2;
    for (int y = first; y < last; y++)
        for (int x = 0; x < out_width; x++)
            for (int i = 0; i < 3; i++, out += run)
                __builtin_memcpy(out, in + (y * stride + down + i) * row + (x * stride + right) * depth,
                                 sizeof(uint16_t) * (size_t)run);
}
