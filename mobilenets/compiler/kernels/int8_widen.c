/* @ bytes as whole numbers. */
INLINE ints@ widen@(const uint8_t *p) {
#if @ == 16 && defined(__AVX512F__)
    return (ints@)_mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
#elif @ == 8 && defined(__AVX2__)
    return (ints@)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));
#elif @ == 4 && defined(__SSE2__)
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    const __m128i none = _mm_setzero_si128(), halves = _mm_unpacklo_epi8(_mm_cvtsi32_si128(four), none);
    return (ints@)_mm_unpacklo_epi16(halves, none);
#else
    typedef uint8_t part@ __attribute__((vector_size(@), aligned(1), may_alias));
    return __builtin_convertvector(*(const part@ *)p, ints@);
#endif
}
