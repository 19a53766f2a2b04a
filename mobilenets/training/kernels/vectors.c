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

INLINE vec@ chosen@(bits@ which, vec@ yes, vec@ no) { return (vec@)(((bits@)yes & which) | ((bits@)no & ~which)); }
INLINE vec@ within@(vec@ z, float low, float limit) {
    const vec@ none = {0};
    z = chosen@(z < low, low - none, z);
    return chosen@(z > limit, limit - none, z);
}
/* NaN stays NaN. */
INLINE vec@ active@(vec@ z, struct bend b) {
    if (b.hard) return z * within@(z + 3, 0, 6) * (1 / 6.0f);
    return within@(z, b.low, b.limit);
}
/* Its gradient at z. */
INLINE vec@ passed@(vec@ gradient, vec@ z, struct bend b) {
    if (b.hard) {
        const vec@ none = {0}, slope = chosen@(z < -3, none, z * (1 / 3.0f) + 0.5f);
        return gradient * chosen@(z > 3, 1 - none, slope);
    }
    return (vec@)((bits@)gradient & ~(z <= b.low) & ~(z >= b.limit));
}
INLINE void add_sums@(double *restrict sums, vec@ v) {
    for (int i = 0; i < @; i++) sums[i] += v[i];
}
