/* A block of nr * @ channels of an expanded map; `deep` is that of tiles, which this one has not. */
INLINE void expand_tile@(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                         const float *restrict bias, float limit, float *restrict out, int width, int row, int first) {
    vec@ sum[MR_MAX * NR_MAX];
    begin@(sum, mr, nr, bias);
#ifdef __aarch64__
    multiply@(sum, mr, nr, a + first * pixel, pixel, w, depth);
#else /* the end of a short loop takes as long as many products */
    _Pragma("GCC unroll 8") for (int k = 0; k < depth; k++)
        multiply@(sum, mr, nr, a + first * pixel + k, pixel, w + k * nr * @, 1);
#endif
    UNROLL for (int i = 0; i < mr; i++) {
        float *restrict to = out + (first + i) / width * row + (first + i) % width * nr * @;
        UNROLL for (int j = 0; j < nr; j++) store@(to + j * @, activate@(sum[i * nr + j], limit));
    }
}

INLINE void expansion@(int mr, int nr, int deep, const float *restrict a, int pixel, int depth, const float *restrict w,
                       const float *restrict bias, float limit, float *restrict out, int width, int row, int count) {
    (void)deep;
    int p = 0;
    for (; p + mr <= count; p += mr) expand_tile@(mr, nr, a, pixel, depth, w, bias, limit, out, width, row, p);
    if (p < count && p) /* some pixels again */
        expand_tile@(mr, nr, a, pixel, depth, w, bias, limit, out, width, row, count - mr);
    else
        for (; p < count; p++) expand_tile@(1, nr, a, pixel, depth, w, bias, limit, out, width, row, p);
}
