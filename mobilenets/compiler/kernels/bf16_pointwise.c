/* As pointwise@, of bf16. a and w may be sums of `parts` bf16 each, a_part and w_part elements apart; of the products of
 * parts, those that matter are added: the parts i of a and j of w with i + j < parts. w: panels of nr vectors, each
 * [depth / 2][nr * @][2]. out holds elements of `size` bytes, bf16 or floats, in
 * rows of `width` pixels that begin `row` elements apart. */
INLINE void bf16_pointwise_tile@(int mr, int nr, const uint16_t *restrict a, int pixel, int a_part, int depth,
                                 const uint16_t *restrict w, int w_part, int parts, const float *restrict bias,
                                 float limit, void *restrict out, int size, int width, int row, int channels, int first,
                                 int n) {
    vec@ sum[MR_MAX * NR_MAX];
    begin@(sum, mr, nr, bias);
    for (int i = 0; i < parts; i++)
        for (int j = 0; i + j < parts; j++)
            bf16_multiply@(sum, mr, nr, a + i * a_part, pixel, w + j * w_part, depth / 2);
    UNROLL for (int i = 0; i < mr; i++) {
        const int at = first + i, to = at / width * row + at % width * channels + n;
        UNROLL for (int j = 0; j < nr; j++) put@(out, to + j * @, activate@(sum[i * nr + j], limit), size);
    }
}

INLINE void bf16_pointwise@(int mr, int nr, const uint16_t *restrict a, int pixel, int a_part, int depth,
                            const uint16_t *restrict w, int w_part, int parts, const float *restrict bias, float limit,
                            void *restrict out, int size, int width, int row, int channels, int first,
                            int last) {
    for (int n = 0; n < channels; n += nr * @) {
        int p = first;
        for (; p + mr <= last; p += mr)
            bf16_pointwise_tile@(mr, nr, a + (p - first) * pixel, pixel, a_part, depth, w + n * depth, w_part, parts,
                                 bias + n, limit, out, size, width, row, channels, p, n);
        for (; p < last; p++)
            bf16_pointwise_tile@(1, nr, a + (p - first) * pixel, pixel, a_part, depth, w + n * depth, w_part, parts,
                                 bias + n, limit, out, size, width, row, channels, p, n);
    }
}
