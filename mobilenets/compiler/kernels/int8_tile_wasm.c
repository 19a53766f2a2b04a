/* The heart of every other convolution: `mr` pixels x nr vectors of channels, all sums in registers. What a pixel
 * sees are `runs` runs of codes (the rows of a kernel), `row` apart, each GROUP * groups long; the next pixel's lie
 * `pixel` on. w: [runs][groups][nr * @][GROUP]. A pixel is read when the products of the one before are in the sums:
 * compilers would read all of them first, for which the registers do not suffice. */
INLINE void int8_tile@(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                       const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                       const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                       int bytes) {
    ints@ sum[MR_MAX * NR_MAX], all[MR_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = ints_at@(bias + j * @);
        all[i] = (ints@){0};
    }
    for (int r = 0; r < runs; r++) {
        const code *restrict from = a + r * row;
        for (int k = 0; k < groups; k++, from += GROUP, w += nr * @ * GROUP) {
            weight@ b[4];
            UNROLL for (int j = 0; j < nr; j++) b[j] = weight_at@(w + j * @ * GROUP);
            UNROLL for (int i = 0; i < mr; i++) {
                const seen@ x = seen_at@(from + i * pixel);
                UNROLL for (int j = 0; j < nr; j++) {
                    sum[i * nr + j] = add_product@(sum[i * nr + j], x, b[j]);
                    __asm__ volatile("" : "+r"(sum[i * nr + j]) : : "memory");
                }
                if (weight_zero) all[i] = add_seen@(all[i], x);
            }
        }
    }
    if (weight_zero)
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] -= weight_zero * all[i];
    if (channels == nr * @)
        write@(sum, mr * nr, nr, factor, zero, low, high, out, mr * nr * @);
    else
        UNROLL for (int i = 0; i < mr; i++)
            write@(sum + i * nr, nr, nr, factor, zero, low, high, out + i * channels, bytes);
}
