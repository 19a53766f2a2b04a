/* As multiply4, of pairs: sum[i][j] += a[i * pixel + 2 k] * w[k][j][0] + a[i * pixel + 2 k + 1] * w[k][j][1] for
 * k < count. */
#define PAIR_ELEMENT(l)                                                                                         \
    UNROLL for (int i = 0; i < mr; i++) {                                                                  \
        UNROLL for (int j = 0; j < nr; j++) {                                                              \
            vec4 s = sum[i * nr + j];                                                                      \
            ADD_PAIR(s, b[l % 2][j], x[i], l);                                                         \
            sum[i * nr + j] = s;                                                                           \
            const int n = i == mr - 1 && 2 * nr > mr ? nr : i / 2 + 1; /* of weights, loaded by now */      \
            if (j == 0 && (l < 3 || more))                                                                 \
                UNROLL for (int m = (i + 1) / 2; m < n && m < nr; m++) LOAD(b[1 - l % 2][m], w[l * nr + m]); \
        }                                                                                                  \
        if (l == 3 && more) LOAD(x[i], *(const pairs4 *)(a + i * pixel));                                  \
    }

/* Four pairs, of which x and b[0] are loaded; a: the next four; w: the weights from the second on. */
INLINE void bf16_quarter4(vec4 *restrict sum, int mr, int nr, pairs4 *restrict x, pairs4 (*restrict b)[NR_MAX],
                          const uint16_t *restrict a, int pixel, const pairs4 *restrict w, int more) {
    PAIR_ELEMENT(0)
    PAIR_ELEMENT(1)
    PAIR_ELEMENT(2)
    PAIR_ELEMENT(3)
}

INLINE void bf16_multiply4(vec4 *restrict sum, int mr, int nr, const uint16_t *restrict a, int pixel,
                           const uint16_t *restrict w, int count) {
    const pairs4 *restrict weights = (const pairs4 *)w;
    pairs4 x[MR_MAX], b[2][NR_MAX];
    int k = 0;
    if (count >= 4) {
        UNROLL for (int i = 0; i < mr; i++) LOAD(x[i], *(const pairs4 *)(a + i * pixel));
        UNROLL for (int j = 0; j < nr; j++) LOAD(b[0][j], weights[j]);
        for (; k + 8 <= count; k += 4)
            bf16_quarter4(sum, mr, nr, x, b, a + 2 * k + 8, pixel, weights + (k + 1) * nr, 1);
        bf16_quarter4(sum, mr, nr, x, b, a, pixel, weights + (k + 1) * nr, 0);
        k += 4;
    }
    for (; k < count; k++)
        UNROLL for (int j = 0; j < nr; j++)
            UNROLL for (int i = 0; i < mr; i++) {
                const pairs4 both = *(const pair *)(a + i * pixel + 2 * k) + (pairs4){0};
                sum[i * nr + j] = DOT4(sum[i * nr + j], weights[k * nr + j], both);
            }
}
