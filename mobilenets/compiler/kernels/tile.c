/* The heart of every convolution: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined. */
INLINE void multiply@(vec@ *restrict sum, int mr, int nr, const float *restrict a, int pixel, const float *restrict w,
                      int count) {
    for (int k = 0; k < count; k++) {
        vec@ b[NR_MAX];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load@(w + (k * nr + j) * @);
        UNROLL for (int i = 0; i < mr; i++) {
            const float x = a[i * pixel + k];
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] += x * b[j];
        }
    }
}

INLINE void begin@(vec@ *restrict sum, int mr, int nr, const float *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load@(bias + j * @);
}
