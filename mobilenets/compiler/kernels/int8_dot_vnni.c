/* The dot product of processors with VNNI: four unsigned bytes times four signed ones, added to a sum of 32 bits
 * without saturation. What convolutions read waits in rows of `code`. */
#ifndef GROUP
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
typedef uint8_t code;
typedef int8_t tap;
#endif
typedef bytes@ group@;

INLINE ints@ dot@(ints@ sum, group@ a, group@ w) {
#if @ == 16 && defined(__AVX512VNNI__)
    return (ints@)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)w);
#elif @ == 8 && defined(__AVX512VNNI__)
    return (ints@)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#elif @ == 8 && defined(__AVXVNNI__)
    return (ints@)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#else /* byte by byte: bits of `a` without a sign, of `w` with one */
    const ints@ p = (ints@)a, q = (ints@)w;
    return sum + (p & 255) * (q << 24 >> 24) + (p >> 8 & 255) * (q << 16 >> 24) + (p >> 16 & 255) * (q << 8 >> 24) +
           (p >> 24 & 255) * (q >> 24);
#endif
}

INLINE group@ spread@(const code *p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (group@)(four - (ints@){0});
}
INLINE group@ weights@(const int8_t *p) { return *(const group@ *)p; }
INLINE group@ ones@(void) { return (group@){0} + 1; }

/* @ channels of four rows: the four bytes of a channel side by side. */
INLINE void column@(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    (void)plane;
#if @ == 16 && defined(__AVX512VNNI__)
    const __m512i ab = _mm512_castsi256_si512(_mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const void *)a)), _mm_loadu_si128((const void *)b), 1));
    const __m512i abc = _mm512_inserti32x4(ab, _mm_loadu_si128((const void *)c), 2);
    const __m512i rows = _mm512_inserti32x4(abc, _mm_loadu_si128((const void *)d), 3);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    _mm512_storeu_si512(to, _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, rows), turn));
#elif @ == 8 && defined(__SSE2__)
    const __m128i ab = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)a), _mm_loadl_epi64((const void *)b));
    const __m128i cd = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)c), _mm_loadl_epi64((const void *)d));
    _mm_storeu_si128((void *)to, _mm_unpacklo_epi16(ab, cd));
    _mm_storeu_si128((void *)(to + 16), _mm_unpackhi_epi16(ab, cd));
#else
    for (int i = 0; i < @; i++) {
        to[4 * i] = a[i];
        to[4 * i + 1] = b[i];
        to[4 * i + 2] = c[i];
        to[4 * i + 3] = d[i];
    }
#endif
}

/* sum + the four rows of a column times their weights. */
INLINE ints@ taps@(ints@ sum, const code *a, const tap *w, int plane) {
    (void)plane;
    return dot@(sum, *(const group@ *)a, *(const group@ *)w);
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints@ count@(ints@ sum, const code *a, int last, int plane) {
    (void)plane;
    return dot@(sum, *(const group@ *)a, (group@)((last ? 0x01010100 : 0x00010101) - (ints@){0}));
}

INLINE void codes@(bytes@ from, int at, code *to) { __builtin_memcpy(to, (const uint8_t *)&from + at, @); }
