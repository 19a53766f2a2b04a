/* As dense@, of bf16. w as in the classifier's. */
INLINE void bf16_dense@(int nr, const uint16_t *restrict in, int depth, const uint16_t *restrict w,
                        const float *restrict bias, float limit, uint16_t *restrict out, int first, int last) {
    for (int n = first; n < last; n += nr * @) {
        vec@ sum[NR_MAX];
        begin@(sum, 1, nr, bias + n);
        bf16_multiply@(sum, 1, nr, in, 0, w + n * depth, depth / 2);
        UNROLL for (int j = 0; j < nr; j++) put@(out, n + j * @, activate@(sum[j], limit), 2);
    }
}
