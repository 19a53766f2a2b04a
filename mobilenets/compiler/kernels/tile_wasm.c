/* The heart of every convolution: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined. A pixel
 * is read when the products of the one before are in the sums: compilers would read all of them first, for which the
 * registers do not suffice. */
INLINE void multiply@(vec@ *restrict sum, int mr, int nr, const float *restrict a, int pixel, const float *restrict w,
                      int count) {
    for (int k = 0; k < count; k++, a++, w += nr * @) {
        vec@ b[NR_MAX];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load@(w + j * @);
        UNROLL for (int i = 0; i < mr; i++) {
            const float x = a[i * pixel];
            UNROLL for (int j = 0; j < nr; j++) {
                sum[i * nr + j] += x * b[j];
                __asm__ volatile("" : "+r"(sum[i * nr + j]) : : "memory");
            }
        }
    }
}

INLINE void begin@(vec@ *restrict sum, int mr, int nr, const float *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load@(bias + j * @);
}
