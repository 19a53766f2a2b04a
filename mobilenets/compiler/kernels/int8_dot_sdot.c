/* The dot product of four signed bytes: what convolutions read waits in rows of `code`, which are q. */
#ifndef GROUP
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
#define STEPS 4 /* groups in a vector */
typedef int8_t code;
typedef int8_t tap;
#endif
typedef chars4 row4; /* of codes, and of weights */

#ifdef __ARM_FEATURE_DOTPROD
#define DOT(sum, w, a) (ints4)vdotq_s32((int32x4_t)(sum), (int8x16_t)(w), (int8x16_t)(a))
#define DOT_ELEMENT(sum, w, a, l) (ints4)vdotq_laneq_s32((int32x4_t)(sum), (int8x16_t)(w), (int8x16_t)(a), l)
#define ADD_PRODUCT(sum, w, j, a, l) \
    __asm__ volatile("sdot %0.4s, %1.16b, %2.4b[" #l "]" : "+w"(sum) : "w"((w)[j]), "w"(a))
#else
#define DOT(sum, w, a) plain_dot(sum, w, a)
#define DOT_ELEMENT(sum, w, a, l) plain_dot(sum, w, (chars4)(((ints4)(a))[l] - (ints4){0}))
#define ADD_PRODUCT(sum, w, j, a, l) (sum) = DOT_ELEMENT(sum, (w)[j], a, l)
INLINE ints4 plain_dot(ints4 sum, chars4 w, chars4 a) {
    const ints4 p = (ints4)w, q = (ints4)a;
    return sum + (p << 24 >> 24) * (q << 24 >> 24) + (p << 16 >> 24) * (q << 16 >> 24) +
           (p << 8 >> 24) * (q << 8 >> 24) + (p >> 24) * (q >> 24);
}
#endif
/* The weights of a group for vector j of channels. */
#define LOAD_WEIGHTS(w, j, from) LOAD((w)[j], *(const row4 *)((from) + 16 * (j)))
#define OF_VECTOR(w, j) (w)[j]

INLINE row4 spread(const code *p) {
    int32_t four;
    __builtin_memcpy(&four, p, 4);
    return (row4)(four - (ints4){0});
}
INLINE row4 ones(void) { return (row4){0} + 1; }

/* Bytes as codes. */
INLINE code code_of(int byte) { return (code)(byte - 128); }
INLINE void codes(const uint8_t *from, int count, code *to) {
    int i = 0;
    for (; i + 16 <= count; i += 16) *(bytes4 *)(to + i) = *(const bytes4 *)(from + i) ^ 128;
    for (; i < count; i++) to[i] = code_of(from[i]);
}
/* The first eight, or the last. */
INLINE void half_codes(bytes4 bytes, int last, code *to) {
    bytes ^= 128;
    __builtin_memcpy(to, (const uint8_t *)&bytes + 8 * last, 8);
}

/* sum + the rows of a column, of four channels, times their weights. */
INLINE ints4 taps(ints4 sum, const code *a, int plane, const tap *w, int lanes, int second) {
    (void)plane, (void)lanes, (void)second;
    return DOT(sum, *(const chars4 *)w, *(const chars4 *)a);
}
/* sum + the first three rows of a column, or (`second`) the last three, unweighted. */
INLINE ints4 counted(ints4 sum, const code *a, int plane, int second) {
    (void)plane;
    return DOT(sum, (chars4)((second ? 0x01010100 : 0x00010101) - (ints4){0}), *(const chars4 *)a);
}
/* `lanes` channels of four rows: the four bytes of a channel side by side. */
INLINE void column(int lanes, const uint8_t *const *rows, code *to, int plane) {
    (void)plane;
#ifdef __aarch64__
    if (lanes == 16) {
        const uint8x16_t a = vld1q_u8(rows[0]), b = vld1q_u8(rows[1]), c = vld1q_u8(rows[2]), d = vld1q_u8(rows[3]);
        const uint16x8_t ab = (uint16x8_t)vzip1q_u8(a, b), cd = (uint16x8_t)vzip1q_u8(c, d);
        const uint16x8_t high_ab = (uint16x8_t)vzip2q_u8(a, b), high_cd = (uint16x8_t)vzip2q_u8(c, d);
        *(bytes4 *)to = (bytes4)vzip1q_u16(ab, cd) ^ 128;
        *(bytes4 *)(to + 16) = (bytes4)vzip2q_u16(ab, cd) ^ 128;
        *(bytes4 *)(to + 32) = (bytes4)vzip1q_u16(high_ab, high_cd) ^ 128;
        *(bytes4 *)(to + 48) = (bytes4)vzip2q_u16(high_ab, high_cd) ^ 128;
    } else {
        const uint8x8_t a = vld1_u8(rows[0]), b = vld1_u8(rows[1]), c = vld1_u8(rows[2]), d = vld1_u8(rows[3]);
        const uint8x16_t ab = vcombine_u8(vzip1_u8(a, b), vzip2_u8(a, b));
        const uint8x16_t cd = vcombine_u8(vzip1_u8(c, d), vzip2_u8(c, d));
        *(bytes4 *)to = (bytes4)vzip1q_u16((uint16x8_t)ab, (uint16x8_t)cd) ^ 128;
        *(bytes4 *)(to + 16) = (bytes4)vzip2q_u16((uint16x8_t)ab, (uint16x8_t)cd) ^ 128;
    }
#else
    for (int i = 0; i < 4 * lanes; i++) to[i] = code_of(rows[i % 4][i / 4]);
#endif
}
