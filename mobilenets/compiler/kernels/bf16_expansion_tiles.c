/* As expansion.c, of bf16 in tiles. */
INLINE void expansion@(int mr, int nr, int deep, const uint16_t *restrict a, int pixel, int depth,
                       const uint16_t *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int width, int row, int count) {
    (void)mr;
    bf16_pointwise_tiles@(nr, a, pixel, 0, depth, deep, w, 0, 1, bias, limit, out, 4, width, row, nr * @, 0, count);
}
