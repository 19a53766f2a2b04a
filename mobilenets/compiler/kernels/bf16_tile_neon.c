/* As multiply4, of pairs: sum[i][j] += a[i * pixel + 2 k] * w[k][j][0] + a[i * pixel + 2 k + 1] * w[k][j][1], k < pairs;
 * four k at a time. */
#define PAIR_ELEMENT(l)                                                                        \
    UNROLL for (int j = 0; j < nr; j++) {                                                      \
        const pairs4 b = load_pairs4(w + ((k + l) * nr + j) * 8);                              \
        UNROLL for (int i = 0; i < mr; i++) sum[i * nr + j] = DOT_ELEMENT4(sum[i * nr + j], b, x[i], l); \
    }

INLINE void bf16_multiply4(vec4 *restrict sum, int mr, int nr, const uint16_t *restrict a, int pixel,
                           const uint16_t *restrict w, int count) {
    int k = 0;
    for (; k + 4 <= count; k += 4) {
        pairs4 x[MR_MAX];
        UNROLL for (int i = 0; i < mr; i++) x[i] = load_pairs4(a + i * pixel + 2 * k);
        PAIR_ELEMENT(0)
        PAIR_ELEMENT(1)
        PAIR_ELEMENT(2)
        PAIR_ELEMENT(3)
    }
    for (; k < count; k++)
        UNROLL for (int j = 0; j < nr; j++) {
            const pairs4 b = load_pairs4(w + (k * nr + j) * 8);
            UNROLL for (int i = 0; i < mr; i++)
                sum[i * nr + j] =
                    DOT4(sum[i * nr + j], b, *(const pair *)(a + i * pixel + 2 * k) + (pairs4){0});
        }
}
