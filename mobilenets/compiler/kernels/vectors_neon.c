/* Vectors of four floats, and the instructions of the inner loops, which the compiler keeps in the order in which they
 * stand: processors that execute in order wait for what is loaded too late. */
#ifdef __aarch64__
#include <arm_neon.h>
#define LOAD(to, from) __asm__ volatile("ldr %q0, %1" : "=w"(to) : "m"(from))
#define MULTIPLY(sum, a, b) __asm__ volatile("fmla %0.4s, %1.4s, %2.4s" : "+w"(sum) : "w"(a), "w"(b))
#define MULTIPLY_ELEMENT(sum, a, b, l) \
    __asm__ volatile("fmla %0.4s, %1.4s, %2.s[" #l "]" : "+w"(sum) : "w"(a), "w"(b))
#else
#define LOAD(to, from) (to) = (from)
#define MULTIPLY(sum, a, b) (sum) += (a) * (b)
#define MULTIPLY_ELEMENT(sum, a, b, l) (sum) += (a) * (b)[l]
#endif
typedef float vec4 __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits4 __attribute__((vector_size(4 * sizeof(float))));

INLINE vec4 load4(const float *p) { return *(const vec4 *)p; }
INLINE void store4(float *p, vec4 v) { *(vec4 *)p = v; }
INLINE vec4 splat4(float x) { return x - (vec4){0}; }
