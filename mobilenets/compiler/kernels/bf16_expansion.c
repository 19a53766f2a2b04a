/* As expansion.c, of bf16. */
INLINE void expansion@(int mr, int nr, int deep, const uint16_t *restrict a, int pixel, int depth,
                       const uint16_t *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int width, int row, int count) {
    (void)deep;
    bf16_pointwise@(mr, nr, a, pixel, 0, depth, w, 0, 1, bias, limit, out, 4, width, row, nr * @, 0, count);
}
