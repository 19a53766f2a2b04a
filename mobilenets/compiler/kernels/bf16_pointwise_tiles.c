/* As bf16_pointwise@, in tiles: 32 pixels times nr vectors (one or two) at a time. Of a, whole tiles of 16 pixels are
 * read, whatever lies behind the last one; of depth, `deep` at a time: an even number up to 32 that divides it. */
INLINE void tile_products@(tiles *t, int nr, int both, const uint16_t *restrict a, int pixel, int depth,
                           int deep, const uint16_t *restrict w) {
    for (int k = 0; k < depth; k += deep) {
        TILE_LOAD(*t, 4, a + k, 2 * pixel);
        if (both) TILE_LOAD(*t, 5, a + 16 * pixel + k, 2 * pixel);
        TILE_LOAD(*t, 6, w + k * nr * @, 4 * nr * @);
        TILE_DOT_BF16(*t, 0, 4, 6);
        if (both) TILE_DOT_BF16(*t, 2, 5, 6);
        if (nr == 2) {
            TILE_LOAD(*t, 7, w + k * nr * @ + 2 * @, 4 * nr * @);
            TILE_DOT_BF16(*t, 1, 4, 7);
            if (both) TILE_DOT_BF16(*t, 3, 5, 7);
        }
    }
}

INLINE void tile_block@(tiles *t, int nr, const uint16_t *restrict a, int pixel, int a_part, int depth,
                        int deep, const uint16_t *restrict w, int w_part, int parts, const float *restrict bias,
                        float limit, void *restrict out, int size, int width, int row, int channels, int first, int last,
                        int n) {
    float sums[4][16 * @] __attribute__((aligned(64)));
    const int both = last - first > 16;
    TILE_ZERO(*t, 0);
    TILE_ZERO(*t, 1);
    TILE_ZERO(*t, 2);
    TILE_ZERO(*t, 3);
    for (int i = 0; i < parts; i++)
        for (int j = 0; i + j < parts; j++)
            tile_products@(t, nr, both, a + i * a_part, pixel, depth, deep, w + j * w_part);
    TILE_STORE(*t, 0, sums[0], 4 * @);
    TILE_STORE(*t, 1, sums[1], 4 * @);
    TILE_STORE(*t, 2, sums[2], 4 * @);
    TILE_STORE(*t, 3, sums[3], 4 * @);
    for (int at = first; at < last && at < first + 32; at++) {
        const int to = at / width * row + at % width * channels + n;
        const float *sum = sums[(at - first) / 16 * 2] + (at - first) % 16 * @;
        UNROLL for (int j = 0; j < nr; j++)
            put@(out, to + j * @, activate@(load@(sum + j * 16 * @) + load@(bias + j * @), limit), size);
    }
}

INLINE void bf16_pointwise_tiles@(int nr, const uint16_t *restrict a, int pixel, int a_part, int depth,
                             int deep, const uint16_t *restrict w, int w_part, int parts, const float *restrict bias,
                             float limit, void *restrict out, int size, int width, int row, int channels, int first,
                             int last) {
    tiles t;
    __builtin_memset(&t, 0, sizeof(tile_shapes));
    tile_shapes *shapes = (tile_shapes *)&t;
    shapes->palette = 1;
    for (int i = 0; i < 8; i++) { /* 0 to 3 sums, 4 and 5 of a, 6 and 7 of w */
        shapes->rows[i] = (uint8_t)(i < 6 ? 16 : deep / 2);
        shapes->bytes[i] = (uint16_t)(i == 4 || i == 5 ? 2 * deep : 4 * @);
    }
    TILES_BEGIN(t);
    for (int n = 0; n < channels; n += nr * @)
        for (int p = first; p < last; p += 32)
            tile_block@(&t, nr, a + (p - first) * pixel, pixel, a_part, depth, deep, w + n * depth, w_part, parts,
                        bias + n, limit, out, size, width, row, channels, p, last, n);
    TILES_END(t);
}
