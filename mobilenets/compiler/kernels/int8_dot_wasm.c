/* The dot product of WebAssembly: pairs of 16-bit numbers, whose two products are added to a sum of 32 bits. What
 * convolutions read waits in rows of `code`, widened; weights are widened as they are read. Vectors have four sums. */
#define GROUP 2 /* products that one step adds to a sum */
#define PLANES 2
typedef int16_t code;
typedef int16_t tap;
typedef int16_t group@ __attribute__((vector_size(@ * 4), aligned(2), may_alias));

INLINE ints@ dot@(ints@ sum, group@ a, group@ w) {
    return sum + (ints@)wasm_i32x4_dot_i16x8((v128_t)a, (v128_t)w);
}

INLINE group@ ones@(void) { return (group@){0} + 1; }

/* What a product multiplies: the weights of @ channels, and what all of them see. */
typedef group@ weight@;
typedef group@ seen@;
INLINE weight@ weight_at@(const int8_t *p) { return (group@)wasm_i16x8_load8x8(p); }
INLINE seen@ seen_at@(const code *p) { return (group@)wasm_v128_load32_splat(p); }
INLINE ints@ add_product@(ints@ sum, seen@ x, weight@ w) { return dot@(sum, x, w); }
INLINE ints@ add_seen@(ints@ sum, seen@ x) { return dot@(sum, x, ones@()); }

/* @ channels of two rows side by side. */
INLINE void pair@(const uint8_t *a, const uint8_t *b, code *to) {
    const v128_t both = wasm_i8x16_shuffle(wasm_v128_load32_zero(a), wasm_v128_load32_zero(b), 0, 16, 1, 17, 2, 18, 3, 19,
                                           4, 20, 5, 21, 6, 22, 7, 23);
    wasm_v128_store(to, wasm_u16x8_extend_low_u8x16(both));
}

/* @ channels of four rows: the first two, and `plane` further the last two. */
INLINE void column@(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    pair@(a, b, to);
    pair@(c, d, to + plane);
}

/* sum + the four rows of a column times their weights. */
INLINE ints@ taps@(ints@ sum, const code *a, const tap *w, int plane) {
    sum = dot@(sum, *(const group@ *)a, *(const group@ *)w);
    return dot@(sum, *(const group@ *)(a + plane), *(const group@ *)(w + 2 * @));
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints@ count@(ints@ sum, const code *a, int last, int plane) {
    sum = dot@(sum, *(const group@ *)a, (group@)((last ? 0x00010000 : 0x00010001) - (ints@){0}));
    return dot@(sum, *(const group@ *)(a + plane), (group@)((last ? 0x00010001 : 0x00000001) - (ints@){0}));
}

/* @ of the bytes, from `at` on. */
INLINE void codes@(bytes@ from, int at, code *to) {
    const v128_t v = (v128_t)from;
    const v128_t half = at < 8 ? wasm_u16x8_extend_low_u8x16(v) : wasm_u16x8_extend_high_u8x16(v);
    if (at % 8)
        wasm_v128_store64_lane(to, half, 1);
    else
        wasm_v128_store64_lane(to, half, 0);
}
