/* Vectors of @ halves, by the extension that GCC and Clang share. */
typedef _Float16 vec@ __attribute__((vector_size(@ * 2), aligned(2), may_alias));
typedef int16_t bits@ __attribute__((vector_size(@ * 2)));

INLINE vec@ load@(const _Float16 *p) { return *(const vec@ *)p; }
INLINE void store@(_Float16 *p, vec@ v) { *(vec@ *)p = v; }
INLINE vec@ splat@(_Float16 x) { return x - (vec@){0}; }
