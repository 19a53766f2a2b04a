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


/* Operands of a matrix product: floats, or (PAIRED) two neighbours along the depth as bf16 in one word, for which there
 * is an instruction. */
#ifdef PAIRED
typedef word@ operands@;
INLINE operands@ load_operands@(const operand *p) {
    operands@ v;
    memcpy(&v, p, sizeof v);
    return v;
}
INLINE vec@ multiply_add@(vec@ sum, operand a, operands@ b) { return DOT@(sum, a - (word@){0}, b); }
INLINE word@ rounded@(vec@ v) { return (word@)v + 0x7fff + (((word@)v >> 16) & 1); }
/* Pixels p and p + 1, channels c on, of matrices of `pitch` words a row: `across` has pairs of channels, `along` pairs of
 * pixels; either may be NULL. */
INLINE void put@(operand *across, operand *along, int pitch, int p, int c, vec@ first, vec@ second) {
    const word@ a = rounded@(first), b = rounded@(second);
    if (across) {
        uint16_t *rows = (uint16_t *)across + 2L * p * pitch + c;
        *(half@ *)rows = __builtin_convertvector(a >> 16, half@);
        *(half@ *)(rows + 2 * pitch) = __builtin_convertvector(b >> 16, half@);
    }
    const word@ pairs = (a >> 16) | (b & 0xffff0000);
    if (along) memcpy(along + p / 2 * pitch + c, &pairs, sizeof pairs);
}
#else
typedef vec@ operands@;
INLINE operands@ load_operands@(const operand *p) { return load@(p); }
INLINE vec@ multiply_add@(vec@ sum, operand a, operands@ b) { return sum + a * b; }
/* Both are the same matrix, or one of them is NULL. */
INLINE void put@(operand *across, operand *along, int pitch, int p, int c, vec@ first, vec@ second) {
    operand *rows = (across ? across : along) + p * pitch + c;
    store@(rows, first);
    store@(rows + pitch, second);
}
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
