/* As int8_product@ of one run, in tiles: 16 pixels times nr vectors at a time, with which it shares its weights. Of depth,
 * `deep` at a time: a multiple of 4 up to 64 that divides it. */
INLINE void int8_tile_sums@(tiles *t, int nr, const code *restrict a, int depth, int deep, const int8_t *restrict w,
                            int weight_zero, const int32_t *restrict bias, ints@ *restrict sum) {
    TILE_LOAD(*t, 0, bias, 0); /* the same for every pixel */
    if (nr > 1) TILE_LOAD(*t, 1, bias + @, 0);
    if (nr > 2) TILE_LOAD(*t, 2, bias + 2 * @, 0);
    if (nr > 3) TILE_LOAD(*t, 3, bias + 3 * @, 0);
    if (weight_zero) TILE_ZERO(*t, 4);
    for (int k = 0; k < depth; k += deep) {
        const int8_t *restrict b = w + k * nr * @;
        TILE_LOAD(*t, 5, a + k, depth);
        TILE_LOAD(*t, 6, b, 4 * nr * @);
        TILE_DOT_INT8(*t, 0, 5, 6);
        if (nr > 1) {
            TILE_LOAD(*t, 6, b + 4 * @, 4 * nr * @);
            TILE_DOT_INT8(*t, 1, 5, 6);
        }
        if (nr > 2) {
            TILE_LOAD(*t, 6, b + 8 * @, 4 * nr * @);
            TILE_DOT_INT8(*t, 2, 5, 6);
        }
        if (nr > 3) {
            TILE_LOAD(*t, 6, b + 12 * @, 4 * nr * @);
            TILE_DOT_INT8(*t, 3, 5, 6);
        }
        if (weight_zero) TILE_DOT_INT8(*t, 4, 5, 7);
    }
    TILE_STORE(*t, 0, sum, 4 * nr * @);
    if (nr > 1) TILE_STORE(*t, 1, sum + 1, 4 * nr * @);
    if (nr > 2) TILE_STORE(*t, 2, sum + 2, 4 * nr * @);
    if (nr > 3) TILE_STORE(*t, 3, sum + 3, 4 * nr * @);
}

/* `bytes` of the output's channels for 16 pixels. */
INLINE void int8_tile_block@(tiles *t, int nr, const code *restrict a, int depth, int deep, const int8_t *restrict w,
                             int weight_zero, const int32_t *restrict bias, const float *restrict factor, int zero,
                             int low, int high, uint8_t *restrict out, int channels, int bytes) {
    ints@ sum[16 * NR_MAX] __attribute__((aligned(64))), all[16] __attribute__((aligned(64)));
    int8_tile_sums@(t, nr, a, depth, deep, w, weight_zero, bias, sum);
    if (weight_zero) {
        TILE_STORE(*t, 4, all, 4 * @);
        for (int i = 0; i < 16 * nr; i++) sum[i] -= weight_zero * all[i / nr];
    }
    if (channels == nr * @)
        write@(sum, 16 * nr, nr, factor, zero, low, high, out, 16 * nr * @);
    else
        for (int i = 0; i < 16; i++)
            write@(sum + i * nr, nr, nr, factor, zero, low, high, out + i * channels, bytes);
}

/* All channels of pixels 0..count-1. Where 16 does not divide them, the last 16 are some of the last but one again;
 * fewer than 16 are no tile. */
INLINE void int8_pointwise_tiles@(int mr, int nr, const code *restrict a, int depth, int deep, const int8_t *restrict w,
                                  int weight_zero, const int32_t *restrict bias, const float *restrict factor, int zero,
                                  int low, int high, uint8_t *restrict out, int channels, int count) {
    if (count < 16) {
        int8_product@(mr, nr, a, 1, 0, depth, depth / GROUP, w, weight_zero, bias, factor, zero, low, high, out,
                      channels, count);
        return;
    }
    uint8_t one[64];
    __builtin_memset(one, 1, sizeof one);
    tiles t;
    __builtin_memset(&t, 0, sizeof(tile_shapes));
    tile_shapes *shapes = (tile_shapes *)&t;
    shapes->palette = 1;
    for (int i = 0; i < 8; i++) { /* 0 to 3 sums, 4 what pixels add up to, 5 of a, 6 of w, 7 ones */
        shapes->rows[i] = (uint8_t)(i < 6 ? 16 : deep / 4);
        shapes->bytes[i] = (uint16_t)(i == 5 ? deep : 4 * @);
    }
    TILES_BEGIN(t);
    if (weight_zero) TILE_LOAD(t, 7, one, 0);
    for (int n = 0; n < channels; n += nr * @)
        for (int p = 0; p < count; p += 16) {
            const int at = p + 16 < count ? p : count - 16;
            int8_tile_block@(&t, nr, a + at * depth, depth, deep, w + n * depth, weight_zero, bias + n, factor + n,
                             zero, low, high, out + at * channels + n, channels,
                             channels - n < nr * @ ? channels - n : nr * @);
        }
    TILES_END(t);
}
