/* Vectors of @ floats, by the extension that GCC and Clang share: one source for every instruction set. */
typedef float vec@ __attribute__((vector_size(@ * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits@ __attribute__((vector_size(@ * sizeof(float))));

INLINE vec@ load@(const float *p) { return *(const vec@ *)p; }
INLINE void store@(float *p, vec@ v) { *(vec@ *)p = v; }
INLINE vec@ splat@(float x) { return x - (vec@){0}; }
