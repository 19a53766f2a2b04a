/* From sums to bytes, by the rule of quant/scheme.py, for vectors of @ sums: clamp(round_half_even(float(sum) *
 * factor) + zero point). A byte of activations is q + 128: `zero` stands for 0, `low` and `high` are the least and
 * the largest that the activation lets through. Clamping at `high` comes before rounding: a whole number bounds x
 * just as well, and what is left fits into 32 bits. */
typedef int32_t ints@ __attribute__((vector_size(@ * 4), aligned(4), may_alias));
typedef float reals@ __attribute__((vector_size(@ * 4), aligned(4), may_alias));
typedef uint8_t bytes@ __attribute__((vector_size(@ * 4), aligned(1), may_alias));

INLINE ints@ ints_at@(const int32_t *p) { return *(const ints@ *)p; }
INLINE reals@ reals_at@(const float *p) { return *(const reals@ *)p; }

/* The whole numbers nearest to sum * factor, ties to even, but at most `most`. */
INLINE ints@ nearest@(ints@ sum, reals@ factor, float most) {
    reals@ x = __builtin_convertvector(sum, reals@) * factor;
#if @ == 16 && defined(__AVX512BW__)
    return (ints@)_mm512_cvtps_epi32(_mm512_min_ps((__m512)x, _mm512_set1_ps(most)));
#elif @ == 8 && defined(__AVX2__)
    return (ints@)_mm256_cvtps_epi32(_mm256_min_ps((__m256)x, _mm256_set1_ps(most)));
#elif @ == 4 && defined(__SSE2__)
    return (ints@)_mm_cvtps_epi32(_mm_min_ps((__m128)x, _mm_set1_ps(most)));
#else
    const float magic = 12582912.0f; /* 1.5 * 2^23: behind it there is no room for a fraction */
    const ints@ above = x > most, below = x < -512.0f;
    x = (reals@)(((ints@)x & ~above & ~below) | ((ints@)(most - (reals@){0}) & above) |
                 ((ints@)((reals@){0} - 512.0f) & below));
    return (ints@)(x + magic) - 0x4B400000;
#endif
}

/* Four vectors of whole numbers, plus `zero`, within low..255, as bytes. */
INLINE bytes@ narrow@(ints@ a, ints@ b, ints@ c, ints@ d, int zero, int low) {
#if @ == 16 && defined(__AVX512BW__)
    const __m512i z = _mm512_set1_epi16((short)zero);
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b), z);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)c, (__m512i)d), z);
    const __m512i abcd = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), _mm512_set1_epi8((char)low));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return (bytes@)_mm512_permutexvar_epi32(order, abcd);
#elif @ == 8 && defined(__AVX2__)
    const __m256i z = _mm256_set1_epi16((short)zero);
    const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)a, (__m256i)b), z);
    const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)c, (__m256i)d), z);
    const __m256i abcd = _mm256_max_epu8(_mm256_packus_epi16(ab, cd), _mm256_set1_epi8((char)low));
    return (bytes@)_mm256_permutevar8x32_epi32(abcd, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#elif @ == 4 && defined(__SSE2__)
    const __m128i z = _mm_set1_epi16((short)zero);
    const __m128i ab = _mm_adds_epi16(_mm_packs_epi32((__m128i)a, (__m128i)b), z);
    const __m128i cd = _mm_adds_epi16(_mm_packs_epi32((__m128i)c, (__m128i)d), z);
    return (bytes@)_mm_max_epu8(_mm_packus_epi16(ab, cd), _mm_set1_epi8((char)low));
#else
    const ints@ all[4] = {a, b, c, d};
    bytes@ result;
    for (int i = 0; i < 4 * @; i++) {
        const int value = all[i / @][i % @] + zero;
        result[i] = (uint8_t)(value < low ? low : value);
    }
    return result;
#endif
}

/* `count` vectors of sums, whose factors begin again every `period` vectors, as bytes one after the other; those that
 * are less than four vectors end after `bytes`. */
INLINE void write@(const ints@ *sum, int count, int period, const float *factor, int zero, int low, int high,
                   uint8_t *to, int bytes) {
    ints@ n[4];
    UNROLL for (int v = 0; v < count; v += 4) {
        UNROLL for (int i = 0; i < 4; i++) {
            const int at = v + i < count ? v + i : v; /* what is too much is not written */
            n[i] = nearest@(sum[at], reals_at@(factor + at % period * @), (float)(high - zero));
        }
        const bytes@ whole = narrow@(n[0], n[1], n[2], n[3], zero, low);
        __builtin_memcpy(to + v * @, &whole, (size_t)(bytes - v * @ < 4 * @ ? bytes - v * @ : 4 * @));
    }
}
