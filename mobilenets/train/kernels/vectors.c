/* Vectors of @ floats, by the extension that GCC and Clang share; what is kept in memory is read and written as `stored`. */
typedef float vec@ __attribute__((vector_size(@ * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits@ __attribute__((vector_size(@ * sizeof(float))));
typedef uint32_t word@ __attribute__((vector_size(@ * sizeof(float))));
typedef uint16_t half@ __attribute__((vector_size(@ * sizeof(uint16_t)), aligned(2), may_alias));

INLINE vec@ load@(const float *p) { return *(const vec@ *)p; }
INLINE void store@(float *p, vec@ v) { *(vec@ *)p = v; }
#ifdef BF16 /* the upper half of a float, rounded to nearest even */
INLINE vec@ read@(const stored *p) { return (vec@)(__builtin_convertvector(*(const half@ *)p, word@) << 16); }
INLINE void write@(stored *p, vec@ v) {
    const word@ w = (word@)v;
    *(half@ *)p = __builtin_convertvector((w + 0x7fff + ((w >> 16) & 1)) >> 16, half@);
}
#else
INLINE vec@ read@(const stored *p) { return load@(p); }
INLINE void write@(stored *p, vec@ v) { store@(p, v); }
#endif

/* ReLU, or with a finite limit ReLU6. NaN stays NaN. */
INLINE vec@ active@(vec@ z, float limit) {
    z = (vec@)((bits@)z & ~(z < 0));
    const bits@ above = z > limit;
    return (vec@)(((bits@)z & ~above) | ((bits@)(limit - (vec@){0}) & above));
}
/* Its gradient at z. */
INLINE vec@ passed@(vec@ gradient, vec@ z, float limit) {
    return (vec@)((bits@)gradient & ~(z <= 0) & ~(z >= limit));
}
INLINE void add_sums@(double *restrict sums, vec@ v) {
    for (int i = 0; i < @; i++) sums[i] += v[i];
}
