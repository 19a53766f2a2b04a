/* ReLU (limit 0), ReLU6 (limit 6), hard swish (limit -2), hard sigmoid (limit -3), or none of them (limit -1). */
#if defined(__AVX512FP16__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif
INLINE vec@ clamp@(vec@ v, _Float16 most) {
#if @ == 32 && defined(__AVX512FP16__)
    v = (vec@)_mm512_max_ph((__m512h)v, _mm512_setzero_ph());
    if (most > 0) v = (vec@)_mm512_min_ph((__m512h)v, _mm512_set1_ph(most));
    return v;
#elif @ == 16 && defined(__AVX512FP16__)
    v = (vec@)_mm256_max_ph((__m256h)v, _mm256_setzero_ph());
    if (most > 0) v = (vec@)_mm256_min_ph((__m256h)v, _mm256_set1_ph(most));
    return v;
#elif @ == 8 && defined(__AVX512FP16__)
    v = (vec@)_mm_max_ph((__m128h)v, _mm_setzero_ph());
    if (most > 0) v = (vec@)_mm_min_ph((__m128h)v, _mm_set1_ph(most));
    return v;
#elif @ == 8 && defined(__aarch64__)
    v = (vec@)vmaxnmq_f16((float16x8_t)v, vdupq_n_f16(0));
    if (most > 0) v = (vec@)vminnmq_f16((float16x8_t)v, vdupq_n_f16(most));
    return v;
#else
    v = (vec@)((bits@)v & (v > 0));
    if (most <= 0) return v;
    const bits@ below = v < most;
    return (vec@)(((bits@)v & below) | ((bits@)splat@(most) & ~below));
#endif
}

INLINE vec@ activate@(vec@ v, _Float16 limit) {
    if (limit == -1) return v;
    if (limit >= 0) return clamp@(v, limit);
    const vec@ gate = clamp@(v * (_Float16)(1.0f / 6.0f) + (_Float16)0.5f, (_Float16)1.0f);
    if (limit == -2) return v * gate;
    return gate;
}
