/* bf16 is the upper half of a float, rounded to the nearest, to even where two are as near. Two in 32 bits are a pair,
 * the first in the lower half. Where the processor multiplies pairs and rounds floats, it does. */
typedef uint32_t pair __attribute__((aligned(2), may_alias));

#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
#define DOT4(sum, a, b) (vec4)vbfdotq_f32((float32x4_t)(sum), (bfloat16x8_t)(a), (bfloat16x8_t)(b))
#define ADD_PAIR(sum, a, b, l) \
    __asm__ volatile("bfdot %0.4s, %1.8h, %2.2h[" #l "]" : "+w"(sum) : "w"(a), "w"(b))
#define NARROW4(v) (halves4)vcvt_bf16_f32((float32x4_t)(v))
#else
#define DOT4(sum, a, b) (sum) + first4(a) * first4(b) + second4(a) * second4(b)
#define ADD_PAIR(sum, a, b, l) (sum) += first4(a) * first4(b)[l] + second4(a) * second4(b)[l]
#define NARROW4(v) rounded4(v)
#endif
