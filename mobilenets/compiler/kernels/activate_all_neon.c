#ifdef __aarch64__
#define LARGER(a, b) (vec4)vmaxnmq_f32((float32x4_t)(a), (float32x4_t)(b))
#define SMALLER(a, b) (vec4)vminnmq_f32((float32x4_t)(a), (float32x4_t)(b))
#else
#define LARGER(a, b) (vec4)(((bits4)(a) & ((a) > (b))) | ((bits4)(b) & ~((a) > (b))))
#define SMALLER(a, b) (vec4)(((bits4)(a) & ((a) < (b))) | ((bits4)(b) & ~((a) < (b))))
#endif

/* ReLU (limit 0), ReLU6 (limit 6), hard swish (limit -2), hard sigmoid (limit -3), or none of them (limit -1). */
INLINE vec4 activate4(vec4 v, float limit) {
    if (limit == -1) return v;
    vec4 x = v;
    if (limit < 0) x = v * (1.0f / 6.0f) + 0.5f;
    x = LARGER(x, (vec4){0});
    if (limit) x = SMALLER(x, splat4(limit < 0 ? 1.0f : limit));
    if (limit == -2) return v * x;
    return x;
}
