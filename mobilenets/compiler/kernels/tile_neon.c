/* The heart of every convolution: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined.
 * Four k at a time, so that one load serves four products by an element; the weights of the next k, and behind the last
 * product of a pixel its next four numbers, are loaded between products. */
#define ELEMENT(l)                                                                                         \
    UNROLL for (int i = 0; i < mr; i++) {                                                                  \
        UNROLL for (int j = 0; j < nr; j++) {                                                              \
            vec4 s = sum[i * nr + j];                                                                      \
            MULTIPLY_ELEMENT(s, b[l % 2][j], x[i], l);                                                     \
            sum[i * nr + j] = s;                                                                           \
            const int n = i == mr - 1 && 2 * nr > mr ? nr : i / 2 + 1; /* of weights, loaded by now */      \
            if (j == 0 && (l < 3 || more))                                                                 \
                UNROLL for (int m = (i + 1) / 2; m < n && m < nr; m++) LOAD(b[1 - l % 2][m], w[l * nr + m]); \
        }                                                                                                  \
        if (l == 3 && more) LOAD(x[i], *(const vec4 *)(a + i * pixel));                                    \
    }

/* Four k, of which x and b[0] are loaded; a: the next four; w: the weights from the second k on. */
INLINE void quarter4(vec4 *restrict sum, int mr, int nr, vec4 *restrict x, vec4 (*restrict b)[NR_MAX],
                     const float *restrict a, int pixel, const vec4 *restrict w, int more) {
    ELEMENT(0)
    ELEMENT(1)
    ELEMENT(2)
    ELEMENT(3)
}

INLINE void multiply4(vec4 *restrict sum, int mr, int nr, const float *restrict a, int pixel, const float *restrict w,
                      int count) {
    const vec4 *restrict weights = (const vec4 *)w;
    vec4 x[MR_MAX], b[2][NR_MAX];
    int k = 0;
    if (count >= 4) {
        UNROLL for (int i = 0; i < mr; i++) LOAD(x[i], *(const vec4 *)(a + i * pixel));
        UNROLL for (int j = 0; j < nr; j++) LOAD(b[0][j], weights[j]);
        for (; k + 8 <= count; k += 4)
            quarter4(sum, mr, nr, x, b, a + k + 4, pixel, weights + (k + 1) * nr, 1);
        quarter4(sum, mr, nr, x, b, a, pixel, weights + (k + 1) * nr, 0);
        k += 4;
    }
    for (; k < count; k++)
        UNROLL for (int j = 0; j < nr; j++)
            UNROLL for (int i = 0; i < mr; i++) sum[i * nr + j] += weights[k * nr + j] * a[i * pixel + k];
}

INLINE void begin4(vec4 *restrict sum, int mr, int nr, const float *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load4(bias + j * 4);
}
