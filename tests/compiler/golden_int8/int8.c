/* int8: written by mobilenets for avx512vnni in int8; see the header. */
#include "mobilenets_int8.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX 8
#define NR_MAX 2
#define DW_MAX 1


#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* From sums to bytes, by the rule of quant/scheme.py, for vectors of 16 sums: clamp(round_half_even(float(sum) *
 * factor) + zero point). A byte of activations is q + 128: `zero` stands for 0, `low` and `high` are the least and
 * the largest that the activation lets through. Clamping at `high` comes before rounding: a whole number bounds x
 * just as well, and what is left fits into 32 bits. */
typedef int32_t ints16 __attribute__((vector_size(16 * 4), aligned(4), may_alias));
typedef float reals16 __attribute__((vector_size(16 * 4), aligned(4), may_alias));
typedef uint8_t bytes16 __attribute__((vector_size(16 * 4), aligned(1), may_alias));

INLINE ints16 ints_at16(const int32_t *p) { return *(const ints16 *)p; }
INLINE reals16 reals_at16(const float *p) { return *(const reals16 *)p; }

/* The whole numbers nearest to sum * factor, ties to even, but at most `most`. */
INLINE ints16 nearest16(ints16 sum, reals16 factor, float most) {
    reals16 x = __builtin_convertvector(sum, reals16) * factor;
#if 16 == 16 && defined(__AVX512BW__)
    return (ints16)_mm512_cvtps_epi32(_mm512_min_ps((__m512)x, _mm512_set1_ps(most)));
#elif 16 == 8 && defined(__AVX2__)
    return (ints16)_mm256_cvtps_epi32(_mm256_min_ps((__m256)x, _mm256_set1_ps(most)));
#elif 16 == 4 && defined(__SSE2__)
    return (ints16)_mm_cvtps_epi32(_mm_min_ps((__m128)x, _mm_set1_ps(most)));
#else
    const float magic = 12582912.0f; /* 1.5 * 2^23: behind it there is no room for a fraction */
    const ints16 above = x > most, below = x < -512.0f;
    x = (reals16)(((ints16)x & ~above & ~below) | ((ints16)(most - (reals16){0}) & above) |
                 ((ints16)((reals16){0} - 512.0f) & below));
    return (ints16)(x + magic) - 0x4B400000;
#endif
}

/* Four vectors of whole numbers, plus `zero`, within low..255, as bytes. */
INLINE bytes16 narrow16(ints16 a, ints16 b, ints16 c, ints16 d, int zero, int low) {
#if 16 == 16 && defined(__AVX512BW__)
    const __m512i z = _mm512_set1_epi16((short)zero);
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b), z);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)c, (__m512i)d), z);
    const __m512i abcd = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), _mm512_set1_epi8((char)low));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return (bytes16)_mm512_permutexvar_epi32(order, abcd);
#elif 16 == 8 && defined(__AVX2__)
    const __m256i z = _mm256_set1_epi16((short)zero);
    const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)a, (__m256i)b), z);
    const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)c, (__m256i)d), z);
    const __m256i abcd = _mm256_max_epu8(_mm256_packus_epi16(ab, cd), _mm256_set1_epi8((char)low));
    return (bytes16)_mm256_permutevar8x32_epi32(abcd, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#elif 16 == 4 && defined(__SSE2__)
    const __m128i z = _mm_set1_epi16((short)zero);
    const __m128i ab = _mm_adds_epi16(_mm_packs_epi32((__m128i)a, (__m128i)b), z);
    const __m128i cd = _mm_adds_epi16(_mm_packs_epi32((__m128i)c, (__m128i)d), z);
    return (bytes16)_mm_max_epu8(_mm_packus_epi16(ab, cd), _mm_set1_epi8((char)low));
#else
    const ints16 all[4] = {a, b, c, d};
    bytes16 result;
    for (int i = 0; i < 4 * 16; i++) {
        const int value = all[i / 16][i % 16] + zero;
        result[i] = (uint8_t)(value < low ? low : value);
    }
    return result;
#endif
}

/* `count` vectors of sums, whose factors begin again every `period` vectors, as bytes one after the other; those that
 * are less than four vectors end after `bytes`. */
INLINE void write16(const ints16 *sum, int count, int period, const float *factor, int zero, int low, int high,
                   uint8_t *to, int bytes) {
    ints16 n[4];
    UNROLL for (int v = 0; v < count; v += 4) {
        UNROLL for (int i = 0; i < 4; i++) {
            const int at = v + i < count ? v + i : v; /* what is too much is not written */
            n[i] = nearest16(sum[at], reals_at16(factor + at % period * 16), (float)(high - zero));
        }
        const bytes16 whole = narrow16(n[0], n[1], n[2], n[3], zero, low);
        __builtin_memcpy(to + v * 16, &whole, (size_t)(bytes - v * 16 < 4 * 16 ? bytes - v * 16 : 4 * 16));
    }
}

/* The dot product of processors with VNNI: four unsigned bytes times four signed ones, added to a sum of 32 bits
 * without saturation. What convolutions read waits in rows of `code`. */
#ifndef GROUP
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
typedef uint8_t code;
typedef int8_t tap;
#endif
typedef bytes16 group16;

INLINE ints16 dot16(ints16 sum, group16 a, group16 w) {
#if 16 == 16 && defined(__AVX512VNNI__)
    return (ints16)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)w);
#elif 16 == 8 && defined(__AVX512VNNI__)
    return (ints16)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#elif 16 == 8 && defined(__AVXVNNI__)
    return (ints16)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#else /* byte by byte: bits of `a` without a sign, of `w` with one */
    const ints16 p = (ints16)a, q = (ints16)w;
    return sum + (p & 255) * (q << 24 >> 24) + (p >> 8 & 255) * (q << 16 >> 24) + (p >> 16 & 255) * (q << 8 >> 24) +
           (p >> 24 & 255) * (q >> 24);
#endif
}

INLINE group16 spread16(const code *p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (group16)(four - (ints16){0});
}
INLINE group16 weights16(const int8_t *p) { return *(const group16 *)p; }
INLINE group16 ones16(void) { return (group16){0} + 1; }

/* 16 channels of four rows: the four bytes of a channel side by side. */
INLINE void column16(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    (void)plane;
#if 16 == 16 && defined(__AVX512VNNI__)
    const __m512i ab = _mm512_castsi256_si512(_mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const void *)a)), _mm_loadu_si128((const void *)b), 1));
    const __m512i abc = _mm512_inserti32x4(ab, _mm_loadu_si128((const void *)c), 2);
    const __m512i rows = _mm512_inserti32x4(abc, _mm_loadu_si128((const void *)d), 3);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    _mm512_storeu_si512(to, _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, rows), turn));
#elif 16 == 8 && defined(__SSE2__)
    const __m128i ab = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)a), _mm_loadl_epi64((const void *)b));
    const __m128i cd = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)c), _mm_loadl_epi64((const void *)d));
    _mm_storeu_si128((void *)to, _mm_unpacklo_epi16(ab, cd));
    _mm_storeu_si128((void *)(to + 16), _mm_unpackhi_epi16(ab, cd));
#else
    for (int i = 0; i < 16; i++) {
        to[4 * i] = a[i];
        to[4 * i + 1] = b[i];
        to[4 * i + 2] = c[i];
        to[4 * i + 3] = d[i];
    }
#endif
}

/* sum + the four rows of a column times their weights. */
INLINE ints16 taps16(ints16 sum, const code *a, const tap *w, int plane) {
    (void)plane;
    return dot16(sum, *(const group16 *)a, *(const group16 *)w);
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints16 count16(ints16 sum, const code *a, int last, int plane) {
    (void)plane;
    return dot16(sum, *(const group16 *)a, (group16)((last ? 0x01010100 : 0x00010101) - (ints16){0}));
}

INLINE void codes16(bytes16 from, int at, code *to) { __builtin_memcpy(to, (const uint8_t *)&from + at, 16); }

/* Rows y..y+count-1 of an image ([height][width] pixels of `channels` bytes) as codes, `pitch` apart, with the border
 * that padding adds: the byte `zero`. What is left of the pitch is filled with it. */
INLINE void int8_rows(const uint8_t *restrict in, int height, int width, int channels, int y, int count, int left,
                      int zero, code *restrict to, int pitch) {
    for (int i = 0; i < count; i++) {
        const int inside = y + i >= 0 && y + i < height;
        const int start = left * channels, rest = pitch - start;
        const int end = start + (!inside ? 0 : width * channels < rest ? width * channels : rest);
        const uint8_t *restrict from = in + (inside ? (y + i) * width * channels : 0);
        code *restrict row = to + i * pitch;
        for (int x = 0; x < start; x++) row[x] = (code)zero;
        for (int x = start; x < end; x++) row[x] = from[x - start];
        for (int x = end; x < pitch; x++) row[x] = (code)zero;
    }
}

/* The heart of every other convolution: `mr` pixels x nr vectors of channels, all sums in registers. What a pixel
 * sees are `runs` runs of codes (the rows of a kernel), `row` apart, each GROUP * groups long; the next pixel's lie
 * `pixel` on. w: [runs][groups][nr * 16][GROUP]. */
INLINE void int8_tile16(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                       const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                       const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                       int bytes) {
    ints16 sum[MR_MAX * NR_MAX], all[MR_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = ints_at16(bias + j * 16);
        all[i] = (ints16){0};
    }
    for (int r = 0; r < runs; r++)
        for (int k = 0; k < groups; k++) {
            __asm__ volatile("" : : : "memory"); /* or compilers keep what neighbours read for the next turn */
            group16 b[4];
            UNROLL for (int j = 0; j < nr; j++) b[j] = weights16(w + (((r * groups + k) * nr + j) * 16) * GROUP);
            UNROLL for (int i = 0; i < mr; i++) {
                const group16 x = spread16(a + r * row + i * pixel + k * GROUP);
                UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = dot16(sum[i * nr + j], x, b[j]);
                if (weight_zero) all[i] = dot16(all[i], x, ones16());
            }
        }
    if (weight_zero)
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] -= weight_zero * all[i];
    if (channels == nr * 16)
        write16(sum, mr * nr, nr, factor, zero, low, high, out, mr * nr * 16);
    else
        UNROLL for (int i = 0; i < mr; i++)
            write16(sum + i * nr, nr, nr, factor, zero, low, high, out + i * channels, bytes);
}

/* `bytes` of the output's channels for pixels 0..count-1. */
INLINE void int8_panel16(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                        const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                        const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                        int bytes, int count) {
    int p = 0;
    for (; p + mr <= count; p += mr)
        int8_tile16(mr, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
    if (p < count && p > 0) { /* some pixels again */
        int8_tile16(mr, nr, a + (count - mr) * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low,
                   high, out + (count - mr) * channels, channels, bytes);
        return;
    }
    for (; p < count; p++)
        int8_tile16(1, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
}

/* All channels of pixels 0..count-1; a last panel of weights may be wider than what is left of them. */
INLINE void int8_product16(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                          const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                          const float *restrict factor, int zero, int low, int high, uint8_t *restrict out,
                          int channels, int count) {
    const int panel = nr * 16, depth = runs * groups * GROUP;
    int n = 0;
    for (; n + panel <= channels; n += panel)
        int8_panel16(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, panel, count);
    if (channels % panel)
        int8_panel16(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, channels % panel, count);
}

/* From sums to bytes, by the rule of quant/scheme.py, for vectors of 8 sums: clamp(round_half_even(float(sum) *
 * factor) + zero point). A byte of activations is q + 128: `zero` stands for 0, `low` and `high` are the least and
 * the largest that the activation lets through. Clamping at `high` comes before rounding: a whole number bounds x
 * just as well, and what is left fits into 32 bits. */
typedef int32_t ints8 __attribute__((vector_size(8 * 4), aligned(4), may_alias));
typedef float reals8 __attribute__((vector_size(8 * 4), aligned(4), may_alias));
typedef uint8_t bytes8 __attribute__((vector_size(8 * 4), aligned(1), may_alias));

INLINE ints8 ints_at8(const int32_t *p) { return *(const ints8 *)p; }
INLINE reals8 reals_at8(const float *p) { return *(const reals8 *)p; }

/* The whole numbers nearest to sum * factor, ties to even, but at most `most`. */
INLINE ints8 nearest8(ints8 sum, reals8 factor, float most) {
    reals8 x = __builtin_convertvector(sum, reals8) * factor;
#if 8 == 16 && defined(__AVX512BW__)
    return (ints8)_mm512_cvtps_epi32(_mm512_min_ps((__m512)x, _mm512_set1_ps(most)));
#elif 8 == 8 && defined(__AVX2__)
    return (ints8)_mm256_cvtps_epi32(_mm256_min_ps((__m256)x, _mm256_set1_ps(most)));
#elif 8 == 4 && defined(__SSE2__)
    return (ints8)_mm_cvtps_epi32(_mm_min_ps((__m128)x, _mm_set1_ps(most)));
#else
    const float magic = 12582912.0f; /* 1.5 * 2^23: behind it there is no room for a fraction */
    const ints8 above = x > most, below = x < -512.0f;
    x = (reals8)(((ints8)x & ~above & ~below) | ((ints8)(most - (reals8){0}) & above) |
                 ((ints8)((reals8){0} - 512.0f) & below));
    return (ints8)(x + magic) - 0x4B400000;
#endif
}

/* Four vectors of whole numbers, plus `zero`, within low..255, as bytes. */
INLINE bytes8 narrow8(ints8 a, ints8 b, ints8 c, ints8 d, int zero, int low) {
#if 8 == 16 && defined(__AVX512BW__)
    const __m512i z = _mm512_set1_epi16((short)zero);
    const __m512i ab = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)a, (__m512i)b), z);
    const __m512i cd = _mm512_adds_epi16(_mm512_packs_epi32((__m512i)c, (__m512i)d), z);
    const __m512i abcd = _mm512_max_epu8(_mm512_packus_epi16(ab, cd), _mm512_set1_epi8((char)low));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return (bytes8)_mm512_permutexvar_epi32(order, abcd);
#elif 8 == 8 && defined(__AVX2__)
    const __m256i z = _mm256_set1_epi16((short)zero);
    const __m256i ab = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)a, (__m256i)b), z);
    const __m256i cd = _mm256_adds_epi16(_mm256_packs_epi32((__m256i)c, (__m256i)d), z);
    const __m256i abcd = _mm256_max_epu8(_mm256_packus_epi16(ab, cd), _mm256_set1_epi8((char)low));
    return (bytes8)_mm256_permutevar8x32_epi32(abcd, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
#elif 8 == 4 && defined(__SSE2__)
    const __m128i z = _mm_set1_epi16((short)zero);
    const __m128i ab = _mm_adds_epi16(_mm_packs_epi32((__m128i)a, (__m128i)b), z);
    const __m128i cd = _mm_adds_epi16(_mm_packs_epi32((__m128i)c, (__m128i)d), z);
    return (bytes8)_mm_max_epu8(_mm_packus_epi16(ab, cd), _mm_set1_epi8((char)low));
#else
    const ints8 all[4] = {a, b, c, d};
    bytes8 result;
    for (int i = 0; i < 4 * 8; i++) {
        const int value = all[i / 8][i % 8] + zero;
        result[i] = (uint8_t)(value < low ? low : value);
    }
    return result;
#endif
}

/* `count` vectors of sums, whose factors begin again every `period` vectors, as bytes one after the other; those that
 * are less than four vectors end after `bytes`. */
INLINE void write8(const ints8 *sum, int count, int period, const float *factor, int zero, int low, int high,
                   uint8_t *to, int bytes) {
    ints8 n[4];
    UNROLL for (int v = 0; v < count; v += 4) {
        UNROLL for (int i = 0; i < 4; i++) {
            const int at = v + i < count ? v + i : v; /* what is too much is not written */
            n[i] = nearest8(sum[at], reals_at8(factor + at % period * 8), (float)(high - zero));
        }
        const bytes8 whole = narrow8(n[0], n[1], n[2], n[3], zero, low);
        __builtin_memcpy(to + v * 8, &whole, (size_t)(bytes - v * 8 < 4 * 8 ? bytes - v * 8 : 4 * 8));
    }
}

/* The dot product of processors with VNNI: four unsigned bytes times four signed ones, added to a sum of 32 bits
 * without saturation. What convolutions read waits in rows of `code`. */
#ifndef GROUP
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
typedef uint8_t code;
typedef int8_t tap;
#endif
typedef bytes8 group8;

INLINE ints8 dot8(ints8 sum, group8 a, group8 w) {
#if 8 == 16 && defined(__AVX512VNNI__)
    return (ints8)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)a, (__m512i)w);
#elif 8 == 8 && defined(__AVX512VNNI__)
    return (ints8)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#elif 8 == 8 && defined(__AVXVNNI__)
    return (ints8)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)a, (__m256i)w);
#else /* byte by byte: bits of `a` without a sign, of `w` with one */
    const ints8 p = (ints8)a, q = (ints8)w;
    return sum + (p & 255) * (q << 24 >> 24) + (p >> 8 & 255) * (q << 16 >> 24) + (p >> 16 & 255) * (q << 8 >> 24) +
           (p >> 24 & 255) * (q >> 24);
#endif
}

INLINE group8 spread8(const code *p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (group8)(four - (ints8){0});
}
INLINE group8 weights8(const int8_t *p) { return *(const group8 *)p; }
INLINE group8 ones8(void) { return (group8){0} + 1; }

/* 8 channels of four rows: the four bytes of a channel side by side. */
INLINE void column8(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    (void)plane;
#if 8 == 16 && defined(__AVX512VNNI__)
    const __m512i ab = _mm512_castsi256_si512(_mm256_inserti128_si256(
        _mm256_castsi128_si256(_mm_loadu_si128((const void *)a)), _mm_loadu_si128((const void *)b), 1));
    const __m512i abc = _mm512_inserti32x4(ab, _mm_loadu_si128((const void *)c), 2);
    const __m512i rows = _mm512_inserti32x4(abc, _mm_loadu_si128((const void *)d), 3);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i turn = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    _mm512_storeu_si512(to, _mm512_shuffle_epi8(_mm512_permutexvar_epi32(order, rows), turn));
#elif 8 == 8 && defined(__SSE2__)
    const __m128i ab = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)a), _mm_loadl_epi64((const void *)b));
    const __m128i cd = _mm_unpacklo_epi8(_mm_loadl_epi64((const void *)c), _mm_loadl_epi64((const void *)d));
    _mm_storeu_si128((void *)to, _mm_unpacklo_epi16(ab, cd));
    _mm_storeu_si128((void *)(to + 16), _mm_unpackhi_epi16(ab, cd));
#else
    for (int i = 0; i < 8; i++) {
        to[4 * i] = a[i];
        to[4 * i + 1] = b[i];
        to[4 * i + 2] = c[i];
        to[4 * i + 3] = d[i];
    }
#endif
}

/* sum + the four rows of a column times their weights. */
INLINE ints8 taps8(ints8 sum, const code *a, const tap *w, int plane) {
    (void)plane;
    return dot8(sum, *(const group8 *)a, *(const group8 *)w);
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints8 count8(ints8 sum, const code *a, int last, int plane) {
    (void)plane;
    return dot8(sum, *(const group8 *)a, (group8)((last ? 0x01010100 : 0x00010101) - (ints8){0}));
}

INLINE void codes8(bytes8 from, int at, code *to) { __builtin_memcpy(to, (const uint8_t *)&from + at, 8); }

/* A depthwise 3x3 convolution: rows first..last-1 of the output, pixels one after the other, from the image in
 * ([height][width] pixels of `channels` bytes), 8 channels at a time. For two rows of the output (one where the
 * stride is 2), the four rows of the input that they see are brought side by side, with the border that padding adds,
 * in `columns`; there, a tap is one dot product. */
#define DW_PIXELS 4

/* Columns 0..count-1 of the bordered rows y..y+3. */
INLINE void int8_columns8(const uint8_t *restrict in, int height, int width, int channels, int y, int left, int count,
                          const uint8_t *restrict outside, code *restrict to) {
    const uint8_t *row[4];
    int pixel[4];
    UNROLL for (int i = 0; i < 4; i++) {
        const int inside = y + i >= 0 && y + i < height;
        row[i] = inside ? in + (y + i) * width * channels : outside;
        pixel[i] = inside ? channels : 0;
    }
    const int plane = count * 8 * GROUP;
    int at = 0;
    for (; at < left; at++) column8(outside, outside, outside, outside, to + at * 8 * GROUP, plane);
    const int end = left + width < count ? left + width : count;
    for (; at < end; at++) {
        const int x = at - left;
        column8(row[0] + x * pixel[0], row[1] + x * pixel[1], row[2] + x * pixel[2], row[3] + x * pixel[3],
                to + at * 8 * GROUP, plane);
    }
    for (; at < count; at++) column8(outside, outside, outside, outside, to + at * 8 * GROUP, plane);
}

/* `count` pixels of one row of the output, seen in the first three rows of the columns or (`second`) in the last. */
INLINE void int8_depthwise_pixels8(int count, const code *restrict columns, int plane, int stride, int second,
                                   const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                   const float *restrict factor, int zero, int low, int high, code *restrict out,
                                   int channels) {
    ints8 sum[DW_PIXELS], all[DW_PIXELS];
    UNROLL for (int i = 0; i < count; i++) {
        sum[i] = ints_at8(bias);
        all[i] = (ints8){0};
    }
    UNROLL for (int x = 0; x < 3; x++)
        UNROLL for (int i = 0; i < count; i++) {
            const code *from = columns + (i * stride + x) * 8 * GROUP;
            sum[i] = taps8(sum[i], from, w + x * 4 * 8, plane);
            if (weight_zero) all[i] = count8(all[i], from, second, plane);
        }
    UNROLL for (int i = 0; i < count; i++)
        sum[i] = nearest8(sum[i] - weight_zero * all[i], reals_at8(factor), (float)(high - zero));
    const bytes8 whole = narrow8(sum[0], sum[1 % count], sum[2 % count], sum[3 % count], zero, low);
    UNROLL for (int i = 0; i < count; i++) codes8(whole, i * 8, out + i * channels);
}

/* w: [channels / 8][2 rows of the output, 1 where the stride is 2][3 columns][8 channels][4 rows], the four in pairs
 * [2][8][2] without VNNI. */
INLINE void int8_depthwise8(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                            int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                            const float *restrict factor, int from_zero, int zero, int low, int high,
                            code *restrict columns, code *restrict out, int out_width, int first, int last) {
    uint8_t outside[8];
    __builtin_memset(outside, from_zero, 8);
    const int both = stride == 1 ? 2 : 1, count = (out_width - 1) * stride + 3, plane = count * 8 * GROUP;
    for (int y = first; y < last; y += both)
        for (int c = 0; c < channels; c += 8) {
            int8_columns8(in + c, height, width, channels, y * stride - top, left, count, outside, columns);
            for (int row = y; row < y + both && row < last; row++) {
                const tap *taps = w + (c * both + (row - y) * 8) * 12;
                code *restrict to = out + (row - first) * out_width * channels + c;
                int x = 0;
                for (; x + DW_PIXELS <= out_width; x += DW_PIXELS)
                    int8_depthwise_pixels8(DW_PIXELS, columns + x * stride * 8 * GROUP, plane, stride, row - y, taps,
                                           weight_zero, bias + c, factor + c, zero, low, high, to + x * channels,
                                           channels);
                for (; x < out_width; x++)
                    int8_depthwise_pixels8(1, columns + x * stride * 8 * GROUP, plane, stride, row - y, taps,
                                           weight_zero,
                                           bias + c, factor + c, zero, low, high, to + x * channels, channels);
            }
        }
}

/* A depthwise 3x3 convolution: rows first..last-1 of the output, pixels one after the other, from the image in
 * ([height][width] pixels of `channels` bytes), 16 channels at a time. For two rows of the output (one where the
 * stride is 2), the four rows of the input that they see are brought side by side, with the border that padding adds,
 * in `columns`; there, a tap is one dot product. */
#define DW_PIXELS 4

/* Columns 0..count-1 of the bordered rows y..y+3. */
INLINE void int8_columns16(const uint8_t *restrict in, int height, int width, int channels, int y, int left, int count,
                          const uint8_t *restrict outside, code *restrict to) {
    const uint8_t *row[4];
    int pixel[4];
    UNROLL for (int i = 0; i < 4; i++) {
        const int inside = y + i >= 0 && y + i < height;
        row[i] = inside ? in + (y + i) * width * channels : outside;
        pixel[i] = inside ? channels : 0;
    }
    const int plane = count * 16 * GROUP;
    int at = 0;
    for (; at < left; at++) column16(outside, outside, outside, outside, to + at * 16 * GROUP, plane);
    const int end = left + width < count ? left + width : count;
    for (; at < end; at++) {
        const int x = at - left;
        column16(row[0] + x * pixel[0], row[1] + x * pixel[1], row[2] + x * pixel[2], row[3] + x * pixel[3],
                to + at * 16 * GROUP, plane);
    }
    for (; at < count; at++) column16(outside, outside, outside, outside, to + at * 16 * GROUP, plane);
}

/* `count` pixels of one row of the output, seen in the first three rows of the columns or (`second`) in the last. */
INLINE void int8_depthwise_pixels16(int count, const code *restrict columns, int plane, int stride, int second,
                                   const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                                   const float *restrict factor, int zero, int low, int high, code *restrict out,
                                   int channels) {
    ints16 sum[DW_PIXELS], all[DW_PIXELS];
    UNROLL for (int i = 0; i < count; i++) {
        sum[i] = ints_at16(bias);
        all[i] = (ints16){0};
    }
    UNROLL for (int x = 0; x < 3; x++)
        UNROLL for (int i = 0; i < count; i++) {
            const code *from = columns + (i * stride + x) * 16 * GROUP;
            sum[i] = taps16(sum[i], from, w + x * 4 * 16, plane);
            if (weight_zero) all[i] = count16(all[i], from, second, plane);
        }
    UNROLL for (int i = 0; i < count; i++)
        sum[i] = nearest16(sum[i] - weight_zero * all[i], reals_at16(factor), (float)(high - zero));
    const bytes16 whole = narrow16(sum[0], sum[1 % count], sum[2 % count], sum[3 % count], zero, low);
    UNROLL for (int i = 0; i < count; i++) codes16(whole, i * 16, out + i * channels);
}

/* w: [channels / 16][2 rows of the output, 1 where the stride is 2][3 columns][16 channels][4 rows], the four in pairs
 * [2][16][2] without VNNI. */
INLINE void int8_depthwise16(const uint8_t *restrict in, int height, int width, int channels, int stride, int top,
                            int left, const tap *restrict w, int weight_zero, const int32_t *restrict bias,
                            const float *restrict factor, int from_zero, int zero, int low, int high,
                            code *restrict columns, code *restrict out, int out_width, int first, int last) {
    uint8_t outside[16];
    __builtin_memset(outside, from_zero, 16);
    const int both = stride == 1 ? 2 : 1, count = (out_width - 1) * stride + 3, plane = count * 16 * GROUP;
    for (int y = first; y < last; y += both)
        for (int c = 0; c < channels; c += 16) {
            int8_columns16(in + c, height, width, channels, y * stride - top, left, count, outside, columns);
            for (int row = y; row < y + both && row < last; row++) {
                const tap *taps = w + (c * both + (row - y) * 16) * 12;
                code *restrict to = out + (row - first) * out_width * channels + c;
                int x = 0;
                for (; x + DW_PIXELS <= out_width; x += DW_PIXELS)
                    int8_depthwise_pixels16(DW_PIXELS, columns + x * stride * 16 * GROUP, plane, stride, row - y, taps,
                                           weight_zero, bias + c, factor + c, zero, low, high, to + x * channels,
                                           channels);
                for (; x < out_width; x++)
                    int8_depthwise_pixels16(1, columns + x * stride * 16 * GROUP, plane, stride, row - y, taps,
                                           weight_zero,
                                           bias + c, factor + c, zero, low, high, to + x * channels, channels);
            }
        }
}

/* The mean of all pixels, 16 channels at a time: the sum of what they stand for, times factor. Four pixels are added up
 * at once, as a column of four rows is. */
INLINE void int8_pool16(const uint8_t *restrict in, int pixels, int channels, int from_zero, float factor, int zero,
                       int low, int high, code *restrict out) {
    const uint8_t nothing[16] = {0};
    code four[4 * 16];
    for (int c = 0; c < channels; c += 16) {
        ints16 sum = (ints16){0} - pixels * from_zero;
        for (int p = 0; p < pixels; p += 4) {
            const uint8_t *from = in + p * channels + c;
            column16(from, p + 1 < pixels ? from + channels : nothing, p + 2 < pixels ? from + 2 * channels : nothing,
                    p + 3 < pixels ? from + 3 * channels : nothing, four, GROUP * 16);
            UNROLL for (int i = 0; i < PLANES; i++)
                sum = dot16(sum, *(const group16 *)(four + i * GROUP * 16), ones16());
        }
        sum = nearest16(sum, factor - (reals16){0}, (float)(high - zero));
        codes16(narrow16(sum, sum, sum, sum, zero, low), 0, out + c);
    }
}

/* The heart of every other convolution: `mr` pixels x nr vectors of channels, all sums in registers. What a pixel
 * sees are `runs` runs of codes (the rows of a kernel), `row` apart, each GROUP * groups long; the next pixel's lie
 * `pixel` on. w: [runs][groups][nr * 8][GROUP]. */
INLINE void int8_tile8(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                       const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                       const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                       int bytes) {
    ints8 sum[MR_MAX * NR_MAX], all[MR_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = ints_at8(bias + j * 8);
        all[i] = (ints8){0};
    }
    for (int r = 0; r < runs; r++)
        for (int k = 0; k < groups; k++) {
            __asm__ volatile("" : : : "memory"); /* or compilers keep what neighbours read for the next turn */
            group8 b[4];
            UNROLL for (int j = 0; j < nr; j++) b[j] = weights8(w + (((r * groups + k) * nr + j) * 8) * GROUP);
            UNROLL for (int i = 0; i < mr; i++) {
                const group8 x = spread8(a + r * row + i * pixel + k * GROUP);
                UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = dot8(sum[i * nr + j], x, b[j]);
                if (weight_zero) all[i] = dot8(all[i], x, ones8());
            }
        }
    if (weight_zero)
        UNROLL for (int i = 0; i < mr; i++)
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] -= weight_zero * all[i];
    if (channels == nr * 8)
        write8(sum, mr * nr, nr, factor, zero, low, high, out, mr * nr * 8);
    else
        UNROLL for (int i = 0; i < mr; i++)
            write8(sum + i * nr, nr, nr, factor, zero, low, high, out + i * channels, bytes);
}

/* `bytes` of the output's channels for pixels 0..count-1. */
INLINE void int8_panel8(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                        const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                        const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels,
                        int bytes, int count) {
    int p = 0;
    for (; p + mr <= count; p += mr)
        int8_tile8(mr, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
    if (p < count && p > 0) { /* some pixels again */
        int8_tile8(mr, nr, a + (count - mr) * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low,
                   high, out + (count - mr) * channels, channels, bytes);
        return;
    }
    for (; p < count; p++)
        int8_tile8(1, nr, a + p * pixel, runs, row, pixel, groups, w, weight_zero, bias, factor, zero, low, high,
                   out + p * channels, channels, bytes);
}

/* All channels of pixels 0..count-1; a last panel of weights may be wider than what is left of them. */
INLINE void int8_product8(int mr, int nr, const code *restrict a, int runs, int row, int pixel, int groups,
                          const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                          const float *restrict factor, int zero, int low, int high, uint8_t *restrict out,
                          int channels, int count) {
    const int panel = nr * 8, depth = runs * groups * GROUP;
    int n = 0;
    for (; n + panel <= channels; n += panel)
        int8_panel8(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, panel, count);
    if (channels % panel)
        int8_panel8(mr, nr, a, runs, row, pixel, groups, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                    high, out + n, channels, channels % panel, count);
}

/* What bytes stand for. */
INLINE void int8_logits(const uint8_t *restrict in, int count, float scale, int zero, float *restrict out) {
    for (int i = 0; i < count; i++) out[i] = scale * (float)(in[i] - zero);
}

/* exp(x) for x <= 0, within 1e-6 of its value (0 where that is below the smallest normal float); of no number, no number.
 * x = n ln 2 + r, |r| <= ln 2 / 2: 2^n is put together from its bits, exp(r) is a polynomial. */
INLINE float exponential(float x) {
    if (!(x > -87.33f)) return x < 0.0f ? 0.0f : x;
    const int n = (int)(x * 1.44269504f - 0.5f);
    const float r = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f; /* ln 2 in two parts */
    const union {
        uint32_t bits;
        float value;
    } power = {(uint32_t)(n + 127) << 23};
    const float r2 = r * r;
    const float low = 1.0f + r + r2 * (0.5f + r * 0.16666667f);
    return power.value * (low + r2 * r2 * (0.041666668f + r * (0.0083333338f + r * 0.0013888889f)));
}

/* output: the logits, then their softmax. */
INLINE void softmax(const float *restrict in, int classes, float *restrict out) {
    float largest = in[0], total = 0.0f;
    for (int i = 1; i < classes; i++) largest = in[i] > largest ? in[i] : largest;
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = exponential(in[i] - largest);
        total += out[classes + i];
    }
    for (int i = 0; i < classes; i++) out[classes + i] /= total;
}

/* int8_conv: 40x36x3 -> 20x18x16 */
static void int8_conv_0(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out, void *restrict scratch, const int8_t *restrict w, const int32_t *restrict bias, const float *restrict factor) {
    const int first = 20 * part / parts, last = 20 * (part + 1) / parts;
    const int groups = (3 * 3 + GROUP - 1) / GROUP, pitch = 102 + groups * GROUP;
    for (int y = first; y < last; y++) {
        int8_rows(in, 40, 36, 3, y * 2 - 1, 3, 1, 0, scratch, pitch);
        int8_product16(3, 1, scratch, 3, pitch, 6, groups, w, 0, bias, factor, 0, 0, 192, out + y * 288, 16, 18);
    }
}

/* int8_separable: 20x18x16 -> 20x18x12 */
static void int8_separable_1(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out, void *restrict scratch, const int8_t *restrict dw, const int32_t *restrict dw_bias, const float *restrict dw_factor, const int8_t *restrict w, const int32_t *restrict bias, const float *restrict factor) {
    const int first = 20 * part / parts, last = 20 * (part + 1) / parts;
    code *columns = scratch, *rows = columns + 160 * GROUP * PLANES;
    for (int y = first; y < last; y += 2) {
        const int end = y + 2 < last ? y + 2 : last;
        int8_depthwise8(in, 20, 18, 16, 1, 1, 1, dw, 0, dw_bias, dw_factor, 0, 0, 0, 192, columns, rows, 18, y, end);
        int8_product16(4, 1, rows, 1, 0, 16, 16 / GROUP, w, 0, bias, factor, 0, 0, 192, out + y * 288, 16, (end - y) * 18);
    }
}

/* int8_separable: 20x18x12 -> 10x9x20 */
static void int8_separable_2(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out, void *restrict scratch, const int8_t *restrict dw, const int32_t *restrict dw_bias, const float *restrict dw_factor, const int8_t *restrict w, const int32_t *restrict bias, const float *restrict factor) {
    const int first = 10 * part / parts, last = 10 * (part + 1) / parts;
    code *columns = scratch, *rows = columns + 304 * GROUP * PLANES;
    for (int y = first; y < last; y += 10) {
        const int end = y + 10 < last ? y + 10 : last;
        int8_depthwise16(in, 20, 18, 16, 2, 1, 1, dw, 0, dw_bias, dw_factor, 0, 0, 0, 192, columns, rows, 9, y, end);
        int8_product16(8, 2, rows, 1, 0, 16, 16 / GROUP, w, 0, bias, factor, 0, 0, 192, out + y * 216, 24, (end - y) * 9);
    }
}

/* int8_pointwise: 10x9x20 -> 10x9x12 */
static void int8_pointwise_3(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out, void *restrict scratch, const int8_t *restrict w, const int32_t *restrict bias, const float *restrict factor) {
    const int first = 10 * part / parts, last = 10 * (part + 1) / parts;
    for (int y = first; y < last; y += 10) {
        const int end = y + 10 < last ? y + 10 : last;
        int8_rows(in, 10, 9, 24, y, end - y, 0, 0, scratch, 216);
        int8_product16(4, 1, scratch, 1, 0, 24, 24 / GROUP, w, 0, bias, factor, 0, 0, 192, out + y * 144, 16, (end - y) * 9);
    }
}

/* int8_pool: 10x9x12 -> 1x1x12 */
static void int8_pool_4(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out) {
    (void)parts;
    if (part == 0) int8_pool16(in, 90, 16, 0, 0.011111111380159855f, 0, 0, 255, out);
}

/* int8_fully_connected: 1x1x12 -> 1x1x3 */
static void int8_fully_connected_5(int part, int parts,
    const uint8_t *restrict in, uint8_t *restrict out, const int8_t *restrict w, const int32_t *restrict bias, const float *restrict factor) {
    const int first = 1 * part / parts, last = 1 * (part + 1) / parts;
    for (int n = first * 8; n < last * 8; n += 8)
        int8_panel8(1, 1, in, 1, 0, 0, 16 / GROUP, w + n * 16, 0, bias + n, factor + n, 133, 0, 255, out + n, 8, 8, 1);
}

/* int8_softmax: 1x1x3 -> 1x1x3 */
static void int8_softmax_6(int part, int parts,
    const uint8_t *restrict in, float *restrict out, void *restrict scratch) {
    (void)parts;
    if (part == 0) {
        int8_logits(in, 3, 0.03125f, 133, scratch);
        softmax(scratch, 3, out);
    }
}

#define ALIGNED __attribute__((aligned(64)))
static const struct {
    int8_t w_0[576] ALIGNED;
    int32_t bias_1[16] ALIGNED;
    float factor_2[16] ALIGNED;
    int8_t dw_3[384] ALIGNED;
    int32_t dw_bias_4[16] ALIGNED;
    float dw_factor_5[16] ALIGNED;
    int8_t w_6[256] ALIGNED;
    int32_t bias_7[16] ALIGNED;
    float factor_8[16] ALIGNED;
    int8_t dw_9[192] ALIGNED;
    int32_t dw_bias_10[16] ALIGNED;
    float dw_factor_11[16] ALIGNED;
    int8_t w_12[512] ALIGNED;
    int32_t bias_13[32] ALIGNED;
    float factor_14[32] ALIGNED;
    int8_t w_15[384] ALIGNED;
    int32_t bias_16[16] ALIGNED;
    float factor_17[16] ALIGNED;
    int8_t w_18[128] ALIGNED;
    int32_t bias_19[8] ALIGNED;
    float factor_20[8] ALIGNED;
} embedded = {
    {
        -100, -91, -82, -99, -73, -64, -55, -72,
        -46, -37, -28, -45, -19, -10, -1, -18,
        8, 17, 26, 9, 35, 44, 53, 36,
        62, 71, 80, 63, 89, 98, -94, 90,
        -85, -76, -67, -84, -58, -49, -40, -57,
        -31, -22, -13, -30, -4, 5, 14, -3,
        23, 32, 41, 24, 50, 59, 68, 51,
        77, 86, 95, 78, -97, -88, -79, -96,
        -90, -81, -98, -89, -63, -54, -71, -62,
        -36, -27, -44, -35, -9, 0, -17, -8,
        18, 27, 10, 19, 45, 54, 37, 46,
        72, 81, 64, 73, 99, -93, 91, 100,
        -75, -66, -83, -74, -48, -39, -56, -47,
        -21, -12, -29, -20, 6, 15, -2, 7,
        33, 42, 25, 34, 60, 69, 52, 61,
        87, 96, 79, 88, -87, -78, -95, -86,
        -80, 0, 0, 0, -53, 0, 0, 0,
        -26, 0, 0, 0, 1, 0, 0, 0,
        28, 0, 0, 0, 55, 0, 0, 0,
        82, 0, 0, 0, -92, 0, 0, 0,
        -65, 0, 0, 0, -38, 0, 0, 0,
        -11, 0, 0, 0, 16, 0, 0, 0,
        43, 0, 0, 0, 70, 0, 0, 0,
        97, 0, 0, 0, -77, 0, 0, 0,
        -97, -88, -79, -96, -70, -61, -52, -69,
        -43, -34, -25, -42, -16, -7, 2, -15,
        11, 20, 29, 12, 38, 47, 56, 39,
        65, 74, 83, 66, 92, -100, -91, 93,
        -82, -73, -64, -81, -55, -46, -37, -54,
        -28, -19, -10, -27, -1, 8, 17, 0,
        26, 35, 44, 27, 53, 62, 71, 54,
        80, 89, 98, 81, -94, -85, -76, -93,
        -87, -78, -95, -86, -60, -51, -68, -59,
        -33, -24, -41, -32, -6, 3, -14, -5,
        21, 30, 13, 22, 48, 57, 40, 49,
        75, 84, 67, 76, -99, -90, 94, -98,
        -72, -63, -80, -71, -45, -36, -53, -44,
        -18, -9, -26, -17, 9, 18, 1, 10,
        36, 45, 28, 37, 63, 72, 55, 64,
        90, 99, 82, 91, -84, -75, -92, -83,
        -77, 0, 0, 0, -50, 0, 0, 0,
        -23, 0, 0, 0, 4, 0, 0, 0,
        31, 0, 0, 0, 58, 0, 0, 0,
        85, 0, 0, 0, -89, 0, 0, 0,
        -62, 0, 0, 0, -35, 0, 0, 0,
        -8, 0, 0, 0, 19, 0, 0, 0,
        46, 0, 0, 0, 73, 0, 0, 0,
        100, 0, 0, 0, -74, 0, 0, 0,
        -94, -85, -76, -93, -67, -58, -49, -66,
        -40, -31, -22, -39, -13, -4, 5, -12,
        14, 23, 32, 15, 41, 50, 59, 42,
        68, 77, 86, 69, 95, -97, -88, 96,
        -79, -70, -61, -78, -52, -43, -34, -51,
        -25, -16, -7, -24, 2, 11, 20, 3,
        29, 38, 47, 30, 56, 65, 74, 57,
        83, 92, -100, 84, -91, -82, -73, -90,
        -84, -75, -92, -83, -57, -48, -65, -56,
        -30, -21, -38, -29, -3, 6, -11, -2,
        24, 33, 16, 25, 51, 60, 43, 52,
        78, 87, 70, 79, -96, -87, 97, -95,
        -69, -60, -77, -68, -42, -33, -50, -41,
        -15, -6, -23, -14, 12, 21, 4, 13,
        39, 48, 31, 40, 66, 75, 58, 67,
        93, -99, 85, 94, -81, -72, -89, -80,
        -74, 0, 0, 0, -47, 0, 0, 0,
        -20, 0, 0, 0, 7, 0, 0, 0,
        34, 0, 0, 0, 61, 0, 0, 0,
        88, 0, 0, 0, -86, 0, 0, 0,
        -59, 0, 0, 0, -32, 0, 0, 0,
        -5, 0, 0, 0, 22, 0, 0, 0,
        49, 0, 0, 0, 76, 0, 0, 0,
        -98, 0, 0, 0, -71, 0, 0, 0,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 84, 91, 98, 105,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
    },
    {
        -100, -97, -94, 0, -91, -88, -85, 0,
        -82, -79, -76, 0, -73, -70, -67, 0,
        -64, -61, -58, 0, -55, -52, -49, 0,
        -46, -43, -40, 0, -37, -34, -31, 0,
        -99, -96, -93, 0, -90, -87, -84, 0,
        -81, -78, -75, 0, -72, -69, -66, 0,
        -63, -60, -57, 0, -54, -51, -48, 0,
        -45, -42, -39, 0, -36, -33, -30, 0,
        -98, -95, -92, 0, -89, -86, -83, 0,
        -80, -77, -74, 0, -71, -68, -65, 0,
        -62, -59, -56, 0, -53, -50, -47, 0,
        -44, -41, -38, 0, -35, -32, -29, 0,
        0, -100, -97, -94, 0, -91, -88, -85,
        0, -82, -79, -76, 0, -73, -70, -67,
        0, -64, -61, -58, 0, -55, -52, -49,
        0, -46, -43, -40, 0, -37, -34, -31,
        0, -99, -96, -93, 0, -90, -87, -84,
        0, -81, -78, -75, 0, -72, -69, -66,
        0, -63, -60, -57, 0, -54, -51, -48,
        0, -45, -42, -39, 0, -36, -33, -30,
        0, -98, -95, -92, 0, -89, -86, -83,
        0, -80, -77, -74, 0, -71, -68, -65,
        0, -62, -59, -56, 0, -53, -50, -47,
        0, -44, -41, -38, 0, -35, -32, -29,
        -28, -25, -22, 0, -19, -16, -13, 0,
        -10, -7, -4, 0, -1, 2, 5, 0,
        8, 11, 14, 0, 17, 20, 23, 0,
        26, 29, 32, 0, 35, 38, 41, 0,
        -27, -24, -21, 0, -18, -15, -12, 0,
        -9, -6, -3, 0, 0, 3, 6, 0,
        9, 12, 15, 0, 18, 21, 24, 0,
        27, 30, 33, 0, 36, 39, 42, 0,
        -26, -23, -20, 0, -17, -14, -11, 0,
        -8, -5, -2, 0, 1, 4, 7, 0,
        10, 13, 16, 0, 19, 22, 25, 0,
        28, 31, 34, 0, 37, 40, 43, 0,
        0, -28, -25, -22, 0, -19, -16, -13,
        0, -10, -7, -4, 0, -1, 2, 5,
        0, 8, 11, 14, 0, 17, 20, 23,
        0, 26, 29, 32, 0, 35, 38, 41,
        0, -27, -24, -21, 0, -18, -15, -12,
        0, -9, -6, -3, 0, 0, 3, 6,
        0, 9, 12, 15, 0, 18, 21, 24,
        0, 27, 30, 33, 0, 36, 39, 42,
        0, -26, -23, -20, 0, -17, -14, -11,
        0, -8, -5, -2, 0, 1, 4, 7,
        0, 10, 13, 16, 0, 19, 22, 25,
        0, 28, 31, 34, 0, 37, 40, 43,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 84, 91, 98, 105,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
    },
    {
        -100, -99, -98, -97, -84, -83, -82, -81,
        -68, -67, -66, -65, -52, -51, -50, -49,
        -36, -35, -34, -33, -20, -19, -18, -17,
        -4, -3, -2, -1, 12, 13, 14, 15,
        28, 29, 30, 31, 44, 45, 46, 47,
        60, 61, 62, 63, 76, 77, 78, 79,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -96, -95, -94, -93, -80, -79, -78, -77,
        -64, -63, -62, -61, -48, -47, -46, -45,
        -32, -31, -30, -29, -16, -15, -14, -13,
        0, 1, 2, 3, 16, 17, 18, 19,
        32, 33, 34, 35, 48, 49, 50, 51,
        64, 65, 66, 67, 80, 81, 82, 83,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -92, -91, -90, -89, -76, -75, -74, -73,
        -60, -59, -58, -57, -44, -43, -42, -41,
        -28, -27, -26, -25, -12, -11, -10, -9,
        4, 5, 6, 7, 20, 21, 22, 23,
        36, 37, 38, 39, 52, 53, 54, 55,
        68, 69, 70, 71, 84, 85, 86, 87,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -88, -87, -86, -85, -72, -71, -70, -69,
        -56, -55, -54, -53, -40, -39, -38, -37,
        -24, -23, -22, -21, -8, -7, -6, -5,
        8, 9, 10, 11, 24, 25, 26, 27,
        40, 41, 42, 43, 56, 57, 58, 59,
        72, 73, 74, 75, 88, 89, 90, 91,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 0, 0, 0, 0,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -100, -97, -94, 0, -91, -88, -85, 0,
        -82, -79, -76, 0, -73, -70, -67, 0,
        -64, -61, -58, 0, -55, -52, -49, 0,
        -46, -43, -40, 0, -37, -34, -31, 0,
        -28, -25, -22, 0, -19, -16, -13, 0,
        -10, -7, -4, 0, -1, 2, 5, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -99, -96, -93, 0, -90, -87, -84, 0,
        -81, -78, -75, 0, -72, -69, -66, 0,
        -63, -60, -57, 0, -54, -51, -48, 0,
        -45, -42, -39, 0, -36, -33, -30, 0,
        -27, -24, -21, 0, -18, -15, -12, 0,
        -9, -6, -3, 0, 0, 3, 6, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -98, -95, -92, 0, -89, -86, -83, 0,
        -80, -77, -74, 0, -71, -68, -65, 0,
        -62, -59, -56, 0, -53, -50, -47, 0,
        -44, -41, -38, 0, -35, -32, -29, 0,
        -26, -23, -20, 0, -17, -14, -11, 0,
        -8, -5, -2, 0, 1, 4, 7, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 0, 0, 0, 0,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -100, -99, -98, -97, -88, -87, -86, -85,
        -76, -75, -74, -73, -64, -63, -62, -61,
        -52, -51, -50, -49, -40, -39, -38, -37,
        -28, -27, -26, -25, -16, -15, -14, -13,
        -4, -3, -2, -1, 8, 9, 10, 11,
        20, 21, 22, 23, 32, 33, 34, 35,
        44, 45, 46, 47, 56, 57, 58, 59,
        68, 69, 70, 71, 80, 81, 82, 83,
        92, 93, 94, 95, -97, -96, -95, -94,
        -85, -84, -83, -82, -73, -72, -71, -70,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -96, -95, -94, -93, -84, -83, -82, -81,
        -72, -71, -70, -69, -60, -59, -58, -57,
        -48, -47, -46, -45, -36, -35, -34, -33,
        -24, -23, -22, -21, -12, -11, -10, -9,
        0, 1, 2, 3, 12, 13, 14, 15,
        24, 25, 26, 27, 36, 37, 38, 39,
        48, 49, 50, 51, 60, 61, 62, 63,
        72, 73, 74, 75, 84, 85, 86, 87,
        96, 97, 98, 99, -93, -92, -91, -90,
        -81, -80, -79, -78, -69, -68, -67, -66,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -92, -91, -90, -89, -80, -79, -78, -77,
        -68, -67, -66, -65, -56, -55, -54, -53,
        -44, -43, -42, -41, -32, -31, -30, -29,
        -20, -19, -18, -17, -8, -7, -6, -5,
        4, 5, 6, 7, 16, 17, 18, 19,
        28, 29, 30, 31, 40, 41, 42, 43,
        52, 53, 54, 55, 64, 65, 66, 67,
        76, 77, 78, 79, 88, 89, 90, 91,
        100, -100, -99, -98, -89, -88, -87, -86,
        -77, -76, -75, -74, -65, -64, -63, -62,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 84, 91, 98, 105,
        112, 119, 126, 133, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
        0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -100, -99, -98, -97, -80, -79, -78, -77,
        -60, -59, -58, -57, -40, -39, -38, -37,
        -20, -19, -18, -17, 0, 1, 2, 3,
        20, 21, 22, 23, 40, 41, 42, 43,
        60, 61, 62, 63, 80, 81, 82, 83,
        100, -100, -99, -98, -81, -80, -79, -78,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -96, -95, -94, -93, -76, -75, -74, -73,
        -56, -55, -54, -53, -36, -35, -34, -33,
        -16, -15, -14, -13, 4, 5, 6, 7,
        24, 25, 26, 27, 44, 45, 46, 47,
        64, 65, 66, 67, 84, 85, 86, 87,
        -97, -96, -95, -94, -77, -76, -75, -74,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -92, -91, -90, -89, -72, -71, -70, -69,
        -52, -51, -50, -49, -32, -31, -30, -29,
        -12, -11, -10, -9, 8, 9, 10, 11,
        28, 29, 30, 31, 48, 49, 50, 51,
        68, 69, 70, 71, 88, 89, 90, 91,
        -93, -92, -91, -90, -73, -72, -71, -70,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -88, -87, -86, -85, -68, -67, -66, -65,
        -48, -47, -46, -45, -28, -27, -26, -25,
        -8, -7, -6, -5, 12, 13, 14, 15,
        32, 33, 34, 35, 52, 53, 54, 55,
        72, 73, 74, 75, 92, 93, 94, 95,
        -89, -88, -87, -86, -69, -68, -67, -66,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -84, -83, -82, -81, -64, -63, -62, -61,
        -44, -43, -42, -41, -24, -23, -22, -21,
        -4, -3, -2, -1, 16, 17, 18, 19,
        36, 37, 38, 39, 56, 57, 58, 59,
        76, 77, 78, 79, 96, 97, 98, 99,
        -85, -84, -83, -82, -65, -64, -63, -62,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        0, 7, 14, 21, 28, 35, 42, 49,
        56, 63, 70, 77, 0, 0, 0, 0,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f,
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -100, -99, -98, -97, -88, -87, -86, -85,
        -76, -75, -74, -73, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -96, -95, -94, -93, -84, -83, -82, -81,
        -72, -71, -70, -69, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        -92, -91, -90, -89, -80, -79, -78, -77,
        -68, -67, -66, -65, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0,
    },
    {
        0, 7, 14, 0, 0, 0, 0, 0,
    },
    {
        1.95312500e-03f, 1.95312500e-03f, 1.95312500e-03f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
};

#define AT(bytes) ((void *)((unsigned char *)arena + (bytes)))
#define WEIGHTS(bytes) ((const void *)((const unsigned char *)weights + (bytes)))

void mobilenets_int8_step(int step, int part, int parts,
    const uint8_t *pixels, float *output, void *arena) {
    const void *weights = &embedded;
    __asm__("" : "+r"(weights)); /* hides what it points to: compilers would look into it for a minute */
    switch (step) {
    case 0: /* conv0 */
        int8_conv_0(part, parts, pixels, AT(0), AT(part ? 12736 + (size_t)(part - 1) * 384 : 5760), WEIGHTS(0),
                WEIGHTS(576), WEIGHTS(640));
        break;
    case 1: /* dw1 + pw1 */
        int8_separable_1(part, parts, AT(0), AT(6976), AT(part ? 12736 + (size_t)(part - 1) * 1216 : 5760),
                WEIGHTS(704), WEIGHTS(1088), WEIGHTS(1152), WEIGHTS(1216), WEIGHTS(1472), WEIGHTS(1536));
        break;
    case 2: /* dw2 + pw2 */
        int8_separable_2(part, parts, AT(6976), AT(0), AT(part ? 12736 + (size_t)(part - 1) * 2688 : 2176),
                WEIGHTS(1600), WEIGHTS(1792), WEIGHTS(1856), WEIGHTS(1920), WEIGHTS(2432), WEIGHTS(2560));
        break;
    case 3: /* head */
        int8_pointwise_3(part, parts, AT(0), AT(11264), AT(part ? 12736 + (size_t)(part - 1) * 2176 : 2176),
                WEIGHTS(2688), WEIGHTS(3072), WEIGHTS(3136));
        break;
    case 4: /* pool */
        int8_pool_4(part, parts, AT(11264), AT(0));
        break;
    case 5: /* fc */
        int8_fully_connected_5(part, parts, AT(0), AT(12672), WEIGHTS(3200), WEIGHTS(3328), WEIGHTS(3392));
        break;
    case 6: /* softmax */
        int8_softmax_6(part, parts, AT(12672), output, AT(part ? 12736 + (size_t)(part - 1) * 64 : 0));
        break;
    default: break;
    }
}

void mobilenets_int8_run(const uint8_t *pixels, float *output, void *arena) {
    for (int step = 0; step < 7; step++) mobilenets_int8_step(step, 0, 1, pixels, output, arena);
}
