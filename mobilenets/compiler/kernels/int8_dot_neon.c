/* Products of processors without a dot product: one number of 16 bits times those of four channels. What convolutions
 * read waits in rows of `code`, widened; weights are widened as they are read. */
#ifndef GROUP
#define GROUP 1 /* products that one step adds to a sum */
#define PLANES 4
#define STEPS 8 /* codes in a vector */
typedef int16_t code;
typedef int16_t tap;
#endif
typedef int16_t shorts4 __attribute__((vector_size(8), aligned(2), may_alias));
typedef int16_t shorts8 __attribute__((vector_size(16), aligned(2), may_alias));
typedef int8_t chars8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef uint8_t bytes8 __attribute__((vector_size(8), aligned(1), may_alias));
typedef shorts8 row4; /* of codes, and of weights of two vectors of channels */

#ifdef __aarch64__
#define DOT(sum, w, a) (ints4)vmlal_s16((int32x4_t)(sum), (int16x4_t)(w), (int16x4_t)(a))
#define DOT_ELEMENT(sum, w, a, l) (ints4)vmlal_laneq_s16((int32x4_t)(sum), (int16x4_t)(w), (int16x8_t)(a), l)
#define ADD_PRODUCT(sum, w, j, a, l)                                                                               \
    do {                                                                                                           \
        if (j) __asm__ volatile("smlal2 %0.4s, %1.8h, %2.h[" #l "]" : "+w"(sum) : "w"((w)[0]), "x"(a));            \
        else __asm__ volatile("smlal %0.4s, %1.4h, %2.h[" #l "]" : "+w"(sum) : "w"((w)[0]), "x"(a));               \
    } while (0)
#define LOAD_WEIGHTS(w, j, from)                                                                                   \
    do {                                                                                                           \
        if (j) __asm__ volatile("sshll %0.8h, %0.8b, #0" : "+w"((w)[0]));                                          \
        else __asm__ volatile("ldr %d0, %1" : "=w"((w)[0]) : "m"(*(const chars8 *)(from)));                        \
    } while (0)
#else
#define DOT(sum, w, a) (sum) + __builtin_convertvector(w, ints4) * __builtin_convertvector(a, ints4)
#define DOT_ELEMENT(sum, w, a, l) (sum) + __builtin_convertvector(w, ints4) * (int)(a)[l]
#define ADD_PRODUCT(sum, w, j, a, l) (sum) = DOT_ELEMENT(sum, half((w)[0], j), a, l)
#define LOAD_WEIGHTS(w, j, from)                                                         \
    do {                                                                                 \
        if (!(j)) (w)[0] = __builtin_convertvector(*(const chars8 *)(from), shorts8);    \
    } while (0)
#endif
/* The weights of a group for vector j of channels. */
#define OF_VECTOR(w, j) half((w)[0], j)
INLINE shorts4 half(shorts8 both, int j) {
    shorts4 found;
    __builtin_memcpy(&found, (const int16_t *)&both + 4 * j, 8);
    return found;
}
INLINE shorts4 spread(const code *p) { return *p - (shorts4){0}; }
INLINE shorts4 ones(void) { return (shorts4){0} + 1; }

/* Bytes as codes. */
INLINE code code_of(int byte) { return (code)byte; }
INLINE void codes(const uint8_t *from, int count, code *to) {
    int i = 0;
    for (; i + 8 <= count; i += 8) *(shorts8 *)(to + i) = __builtin_convertvector(*(const bytes8 *)(from + i), shorts8);
    for (; i < count; i++) to[i] = code_of(from[i]);
}
/* The first eight, or the last. */
INLINE void half_codes(bytes4 bytes, int last, code *to) {
    bytes8 half;
    __builtin_memcpy(&half, (const uint8_t *)&bytes + 8 * last, 8);
    *(shorts8 *)to = __builtin_convertvector(half, shorts8);
}

/* sum + three rows of a column, of four channels, times their weights: the first three or (`second`) the last. */
INLINE ints4 taps(ints4 sum, const code *a, int plane, const tap *w, int lanes, int second) {
    UNROLL for (int p = 0; p < 3; p++)
        sum = DOT(sum, *(const shorts4 *)(w + (p + second) * lanes), *(const shorts4 *)(a + (p + second) * plane));
    return sum;
}
/* The same, unweighted. */
INLINE ints4 counted(ints4 sum, const code *a, int plane, int second) {
    UNROLL for (int p = 0; p < 3; p++) sum = DOT(sum, ones(), *(const shorts4 *)(a + (p + second) * plane));
    return sum;
}
/* `lanes` channels of four rows, each `plane` behind the one before. */
INLINE void column(int lanes, const uint8_t *const *rows, code *to, int plane) {
    UNROLL for (int p = 0; p < 4; p++) codes(rows[p], lanes, to + p * plane);
}
