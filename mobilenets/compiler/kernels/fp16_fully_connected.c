/* As fully_connected@ of floats; the logits are floats. */
INLINE void fully_connected@(int nr, const _Float16 *restrict in, int depth, const _Float16 *restrict w,
                             const _Float16 *restrict bias, float *restrict out, int first, int last) {
    for (int n = first; n < last; n += nr * @) {
        vec@ sum[NR_MAX];
        begin@(sum, 1, nr, bias + n);
        multiply@(sum, 1, nr, in, 0, w + n * depth, depth);
        UNROLL for (int j = 0; j < nr; j++)
            for (int i = 0; i < @; i++) out[n + j * @ + i] = (float)sum[j][i];
    }
}
