/* As fully_connected@, of bf16; the sums stay floats. w: panels of nr vectors, each [depth / 2][nr * @][2]. */
INLINE void bf16_fully_connected@(int nr, const uint16_t *restrict in, int depth, const uint16_t *restrict w,
                                  const float *restrict bias, float *restrict out, int first, int last) {
    for (int n = first; n < last; n += nr * @) {
        vec@ sum[NR_MAX];
        begin@(sum, 1, nr, bias + n);
        bf16_multiply@(sum, 1, nr, in, 0, w + n * depth, depth / 2);
        UNROLL for (int j = 0; j < nr; j++) store@(out + n + j * @, sum[j]);
    }
}
