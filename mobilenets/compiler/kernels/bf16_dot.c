/* bf16 is the upper half of a float, rounded to the nearest, to even where two are as near. Two in 32 bits are a pair,
 * the first in the lower half. Where the processor multiplies pairs and rounds floats, it does. */
typedef uint32_t pair __attribute__((aligned(2), may_alias));

#ifdef __AVX512BF16__
#define DOT4(sum, a, b) (vec4)_mm_dpbf16_ps((__m128)(sum), (__m128bh)(a), (__m128bh)(b))
#define DOT8(sum, a, b) (vec8)_mm256_dpbf16_ps((__m256)(sum), (__m256bh)(a), (__m256bh)(b))
#define DOT16(sum, a, b) (vec16)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))
#define NARROW4(v) rounded4(v)
#define NARROW8(v) (halves8)_mm256_cvtneps_pbh((__m256)(v))
#define NARROW16(v) (halves16)_mm512_cvtneps_pbh((__m512)(v))
#else
#define DOT4(sum, a, b) (sum) + first4(a) * first4(b) + second4(a) * second4(b)
#define DOT8(sum, a, b) (sum) + first8(a) * first8(b) + second8(a) * second8(b)
#define DOT16(sum, a, b) (sum) + first16(a) * first16(b) + second16(a) * second16(b)
#define NARROW4(v) rounded4(v)
#define NARROW8(v) rounded8(v)
#define NARROW16(v) rounded16(v)
#endif
