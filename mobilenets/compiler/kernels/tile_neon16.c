/* The heart of every convolution, for vectors of 8 halves: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined.
 * Eight k at a time, so that one load serves eight products by an element. */
#ifdef __aarch64__
#define BY_ELEMENT(sum, b, x, l) __asm__("fmla %0.8h, %1.8h, %2.h[" #l "]" : "+w"(sum) : "w"(b), "x"(x))
#else
#define BY_ELEMENT(sum, b, x, l) (sum) += (b) * (x)[l]
#endif
/* Products by element l. */
#define ELEMENT(l)                                                                              \
    if (l < 7) UNROLL for (int j = 0; j < nr; j++) b[1 - l % 2][j] = weights[(l + 1) * nr + j]; \
    UNROLL for (int i = 0; i < mr; i++)                                                         \
        UNROLL for (int j = 0; j < nr; j++) {                                                   \
            vec8 s = sum[i * nr + j];                                                           \
            BY_ELEMENT(s, b[l % 2][j], x[i], l);                                                \
            sum[i * nr + j] = s;                                                                \
        }

INLINE void multiply8(vec8 *restrict sum, int mr, int nr, const _Float16 *restrict a, int pixel,
                      const _Float16 *restrict w, int count) {
    const vec8 *restrict weights = (const vec8 *)w;
    vec8 x[MR_MAX], b[2][NR_MAX];
    int k = 0;
    for (; k + 8 <= count; k += 8, weights += 8 * nr) {
        UNROLL for (int j = 0; j < nr; j++) b[0][j] = weights[j];
        UNROLL for (int i = 0; i < mr; i++) x[i] = load8(a + i * pixel + k);
        ELEMENT(0) ELEMENT(1) ELEMENT(2) ELEMENT(3) ELEMENT(4) ELEMENT(5) ELEMENT(6) ELEMENT(7)
    }
    for (; k < count; k++, weights += nr)
        UNROLL for (int j = 0; j < nr; j++)
            UNROLL for (int i = 0; i < mr; i++) sum[i * nr + j] += weights[j] * a[i * pixel + k];
}

INLINE void begin8(vec8 *restrict sum, int mr, int nr, const _Float16 *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load8(bias + j * 8);
}
