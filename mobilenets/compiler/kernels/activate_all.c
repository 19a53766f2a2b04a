/* ReLU (limit 0), ReLU6 (limit 6), hard swish (limit -2), hard sigmoid (limit -3), or none of them (limit -1). */
#if defined(__SSE2__)
#include <immintrin.h>
#endif
INLINE vec@ clamp@(vec@ v, float most) {
#if @ == 16 && defined(__AVX512F__)
    v = (vec@)_mm512_max_ps((__m512)v, _mm512_setzero_ps());
    if (most > 0) v = (vec@)_mm512_min_ps((__m512)v, _mm512_set1_ps(most));
    return v;
#elif @ == 8 && defined(__AVX__)
    v = (vec@)_mm256_max_ps((__m256)v, _mm256_setzero_ps());
    if (most > 0) v = (vec@)_mm256_min_ps((__m256)v, _mm256_set1_ps(most));
    return v;
#elif @ == 4 && defined(__SSE2__)
    v = (vec@)_mm_max_ps((__m128)v, _mm_setzero_ps());
    if (most > 0) v = (vec@)_mm_min_ps((__m128)v, _mm_set1_ps(most));
    return v;
#else
    v = (vec@)((bits@)v & (v > 0));
    if (most <= 0) return v;
    const bits@ below = v < most;
    return (vec@)(((bits@)v & below) | ((bits@)splat@(most) & ~below));
#endif
}

INLINE vec@ activate@(vec@ v, float limit) {
    if (limit == -1) return v;
    if (limit >= 0) return clamp@(v, limit);
    const vec@ gate = clamp@(v * (1.0f / 6.0f) + 0.5f, 1.0f);
    if (limit == -2) return v * gate;
    return gate;
}
