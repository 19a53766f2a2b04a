/* The dot product of relaxed SIMD where the processor takes its second bytes as unsigned, out of the range in which all
 * agree: VNNI of x86. What convolutions read waits in rows of `code`, four bytes without a sign for a product. */
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
typedef uint8_t code;
typedef int8_t tap;
typedef bytes@ group@;

/* Byte by byte: bits of `a` without a sign, of `w` with one. */
INLINE ints@ dot@(ints@ sum, group@ a, group@ w) {
    return (ints@)wasm_i32x4_relaxed_dot_i8x16_i7x16_add((v128_t)w, (v128_t)a, (v128_t)sum);
}
INLINE group@ ones@(void) { return (group@){0} + 1; }

/* What a product multiplies: the weights of @ channels, and what all of them see. */
typedef group@ weight@;
typedef group@ seen@;
INLINE weight@ weight_at@(const int8_t *p) { return (group@)wasm_v128_load(p); }
INLINE seen@ seen_at@(const code *p) { return (group@)wasm_v128_load32_splat(p); }
INLINE ints@ add_product@(ints@ sum, seen@ x, weight@ w) { return dot@(sum, x, w); }
INLINE ints@ add_seen@(ints@ sum, seen@ x) { return dot@(sum, x, ones@()); }

/* @ channels of four rows: the four bytes of a channel side by side. */
INLINE void column@(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d, code *to, int plane) {
    (void)plane;
    const v128_t ab = wasm_i8x16_shuffle(wasm_v128_load32_zero(a), wasm_v128_load32_zero(b), 0, 16, 1, 17, 2, 18, 3, 19,
                                         4, 20, 5, 21, 6, 22, 7, 23);
    const v128_t cd = wasm_i8x16_shuffle(wasm_v128_load32_zero(c), wasm_v128_load32_zero(d), 0, 16, 1, 17, 2, 18, 3, 19,
                                         4, 20, 5, 21, 6, 22, 7, 23);
    wasm_v128_store(to, wasm_i16x8_shuffle(ab, cd, 0, 8, 1, 9, 2, 10, 3, 11));
}

/* sum + the four rows of a column times their weights. */
INLINE ints@ taps@(ints@ sum, const code *a, const tap *w, int plane) {
    (void)plane;
    return dot@(sum, (group@)wasm_v128_load(a), weight_at@(w));
}

/* sum + the first three rows of a column (or the last three), unweighted. */
INLINE ints@ count@(ints@ sum, const code *a, int last, int plane) {
    (void)plane;
    return dot@(sum, (group@)wasm_v128_load(a), (group@)((last ? 0x01010100 : 0x00010101) - (ints@){0}));
}

INLINE void codes@(bytes@ from, int at, code *to) { __builtin_memcpy(to, (const uint8_t *)&from + at, @); }
