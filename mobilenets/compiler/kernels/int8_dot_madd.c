/* The dot product of processors without VNNI: pairs of 16-bit numbers, whose two products are added to a sum of 32
 * bits. What convolutions read waits in rows of `code`, widened; weights are widened as they are read. */
#ifndef GROUP
#define GROUP 2 /* products that one step adds to a sum */
#define PLANES 2
typedef int16_t code;
typedef int16_t tap;
#endif
typedef int16_t group@ __attribute__((vector_size(@ * 4), aligned(2), may_alias));
typedef int8_t narrow_group@ __attribute__((vector_size(@ * 2), aligned(1), may_alias));
typedef uint8_t quarter@ __attribute__((vector_size(@), aligned(1), may_alias));

INLINE ints@ dot@(ints@ sum, group@ a, group@ w) {
#if @ == 16 && defined(__AVX512BW__)
    sum += (ints@)_mm512_madd_epi16((__m512i)a, (__m512i)w);
#elif @ == 8 && defined(__AVX2__)
    sum += (ints@)_mm256_madd_epi16((__m256i)a, (__m256i)w);
#elif @ == 4 && defined(__SSE2__)
    sum += (ints@)_mm_madd_epi16((__m128i)a, (__m128i)w);
#else /* the low halves and the high ones, as numbers with a sign */
    const ints@ p = (ints@)a, q = (ints@)w;
    sum += (p << 16 >> 16) * (q << 16 >> 16) + (p >> 16) * (q >> 16);
#endif
#if (@ == 16 && defined(__AVX512BW__)) || (@ == 8 && defined(__AVX2__)) || (@ == 4 && defined(__SSE2__))
    __asm__("" : "+v"(sum)); /* one product after the other: compilers would keep them all and add them up at the end */
#endif
    return sum;
}

INLINE group@ spread@(const code *p) {
    int32_t two;
    __builtin_memcpy(&two, p, 4);
    return (group@)(two - (ints@){0});
}
INLINE group@ weights@(const int8_t *p) {
#if @ == 16 && defined(__AVX512BW__)
    return (group@)_mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)p));
#elif @ == 8 && defined(__AVX2__)
    return (group@)_mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)p));
#elif @ == 4 && defined(__SSE2__)
    const __m128i eight = _mm_loadl_epi64((const void *)p);
    return (group@)_mm_srai_epi16(_mm_unpacklo_epi8(eight, eight), 8);
#else
    return __builtin_convertvector(*(const narrow_group@ *)p, group@);
#endif
}
INLINE group@ ones@(void) { return (group@){0} + 1; }

/* @ channels of two rows side by side. */
INLINE void pair@(const uint8_t *a, const uint8_t *b, code *to) {
#if @ == 16 && defined(__AVX512BW__)
    const __m128i p = _mm_loadu_si128((const void *)a), q = _mm_loadu_si128((const void *)b);
    const __m256i low = _mm256_castsi128_si256(_mm_unpacklo_epi8(p, q));
    _mm512_storeu_si512(to, _mm512_cvtepu8_epi16(_mm256_inserti128_si256(low, _mm_unpackhi_epi8(p, q), 1)));
#elif @ == 8 && defined(__AVX2__)
    const __m128i p = _mm_loadl_epi64((const void *)a), q = _mm_loadl_epi64((const void *)b);
    _mm256_storeu_si256((void *)to, _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(p, q)));
#elif @ == 4 && defined(__SSE2__)
    int32_t p, q;
    __builtin_memcpy(&p, a, 4);
    __builtin_memcpy(&q, b, 4);
    const __m128i both = _mm_unpacklo_epi8(_mm_cvtsi32_si128(p), _mm_cvtsi32_si128(q));
    _mm_storeu_si128((void *)to, _mm_unpacklo_epi8(both, _mm_setzero_si128()));
#else
    for (int i = 0; i < @; i++) {
        to[2 * i] = a[i];
        to[2 * i + 1] = b[i];
    }
#endif
}

/* @ channels of four rows: the first two, and `plane` further the last two. */
INLINE void column@(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    pair@(a, b, to);
    pair@(c, d, to + plane);
}

/* sum + the four rows of a column times their weights. */
INLINE ints@ taps@(ints@ sum, const code *a, const tap *w, int plane) {
    sum = dot@(sum, *(const group@ *)a, *(const group@ *)w);
    return dot@(sum, *(const group@ *)(a + plane), *(const group@ *)(w + 2 * @));
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints@ count@(ints@ sum, const code *a, int last, int plane) {
    sum = dot@(sum, *(const group@ *)a, (group@)((last ? 0x00010000 : 0x00010001) - (ints@){0}));
    return dot@(sum, *(const group@ *)(a + plane), (group@)((last ? 0x00010001 : 0x00000001) - (ints@){0}));
}

/* @ of the bytes, from `at` on. */
INLINE void codes@(bytes@ from, int at, code *to) {
    typedef int16_t half@ __attribute__((vector_size(@ * 2), aligned(2), may_alias));
    const quarter@ *part = (const quarter@ *)((const uint8_t *)&from + at);
    *(half@ *)to = __builtin_convertvector(*part, half@);
}
