/* A pointwise convolution of a single pixel: outputs first..last-1, multiples of nr * @, activated. w as in the
 * classifier's. */
INLINE void dense@(int nr, const float *restrict in, int depth, const float *restrict w, const float *restrict bias,
                   float limit, float *restrict out, int first, int last) {
    for (int n = first; n < last; n += nr * @) {
        vec@ sum[NR_MAX];
        begin@(sum, 1, nr, bias + n);
        multiply@(sum, 1, nr, in, 0, w + n * depth, depth);
        UNROLL for (int j = 0; j < nr; j++) store@(out + n + j * @, activate@(sum[j], limit));
    }
}
