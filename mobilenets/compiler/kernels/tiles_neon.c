/* The product of two pixels by two channels, of eight bytes each: {p0 c0, p0 c1, p1 c0, p1 c1}. */
#ifdef __ARM_FEATURE_MATMUL_INT8
#define ADD_BLOCK(sum, a, w) __asm__ volatile("smmla %0.4s, %1.16b, %2.16b" : "+w"(sum) : "w"(a), "w"(w))
#else
#define ADD_BLOCK(sum, a, w) (sum) = plain_block(sum, a, w)
INLINE ints4 plain_block(ints4 sum, chars4 a, chars4 w) {
    for (int i = 0; i < 32; i++) sum[i / 8] += a[i / 16 * 8 + i % 8] * w[i / 8 % 2 * 8 + i % 8];
    return sum;
}
#endif

/* `count` pixels of bytes as pairs of codes: eight of two pixels in turn. */
INLINE void int8_pairs(const uint8_t *restrict in, int count, int channels, code *restrict to) {
    for (int p = 0; p < count; p++)
        for (int c = 0; c < channels; c += 8)
            codes(in + p * channels + c, 8, to + p / 2 * 2 * channels + 2 * c + p % 2 * 8);
}
