/* A pointwise convolution as a matrix product: pixels first..last-1 of a (rows of `depth` floats, `pixel` apart), times
 * w (panels of nr vectors, each [depth][nr * @]), plus bias, activated, into the bordered image out. */
INLINE void pointwise_tile@(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                            const float *restrict bias, float limit, float *restrict out, int width, int channels,
                            int first) {
    vec@ sum[MR_MAX * NR_MAX];
    begin@(sum, mr, nr, bias);
    multiply@(sum, mr, nr, a, pixel, w, depth);
    UNROLL for (int i = 0; i < mr; i++) {
        const int at = first + i;
        float *restrict to = out + ((at / width + 1) * (width + 2) + at % width + 1) * channels;
        UNROLL for (int j = 0; j < nr; j++) store@(to + j * @, activate@(sum[i * nr + j], limit));
    }
}

INLINE void pointwise@(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                       const float *restrict bias, float limit, float *restrict out, int width, int channels, int first,
                       int last) {
    const int whole = last - (last - first) % mr, overlapping = whole < last && first < whole;
    for (int n = 0; n < channels; n += nr * @) {
        for (int p = first; p < whole; p += mr)
            pointwise_tile@(mr, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
                            width, channels, p);
        if (overlapping) /* some pixels again */
            pointwise_tile@(mr, nr, a + (last - mr - first) * pixel, pixel, depth, w + n * depth, bias + n, limit,
                            out + n, width, channels, last - mr);
        else
            for (int p = whole; p < last; p++)
                pointwise_tile@(1, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
                                width, channels, p);
    }
}
