/* As multiply@, of pairs: sum[i][j] += a[i * pixel + 2 k] * w[k][j][0] + a[i * pixel + 2 k + 1] * w[k][j][1], k < pairs. */
INLINE void bf16_multiply@(vec@ *restrict sum, int mr, int nr, const uint16_t *restrict a, int pixel,
                           const uint16_t *restrict w, int count) {
    for (int k = 0; k < count; k++) {
        __asm__ volatile("" : : : "memory"); /* or compilers keep what neighbours read for the next turn, and spill it */
        pairs@ b[NR_MAX];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load_pairs@(w + (k * nr + j) * 2 * @);
        UNROLL for (int i = 0; i < mr; i++) {
            const pairs@ x = *(const pair *)(a + i * pixel + 2 * k) + (pairs@){0};
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = DOT@(sum[i * nr + j], b[j], x);
        }
    }
}
