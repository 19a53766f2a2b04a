/* ReLU (limit 0), or ReLU6 (limit 6), or neither (limit < 0). */
#ifdef __aarch64__
#define LARGER(a, b) (vec4)vmaxnmq_f32((float32x4_t)(a), (float32x4_t)(b))
#define SMALLER(a, b) (vec4)vminnmq_f32((float32x4_t)(a), (float32x4_t)(b))
#else
#define LARGER(a, b) (vec4)(((bits4)(a) & ((a) > (b))) | ((bits4)(b) & ~((a) > (b))))
#define SMALLER(a, b) (vec4)(((bits4)(a) & ((a) < (b))) | ((bits4)(b) & ~((a) < (b))))
#endif

INLINE vec4 activate4(vec4 v, float limit) {
    if (limit < 0) return v;
    v = LARGER(v, (vec4){0});
    if (limit > 0) v = SMALLER(v, splat4(limit));
    return v;
}
