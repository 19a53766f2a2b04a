/* The dot product of relaxed SIMD: four bytes with a sign times four from 0 to 127, the only range in which all
 * processors agree, added to a sum of 32 bits. A weight is the difference of two such numbers, plus - minus, one of which
 * is 0; with q = a - 128, a * w = q * plus + ~q * minus + (minus + 128 * w), and the bias holds the sum of the
 * last term (`int8_packing.split_bias`). What convolutions read waits in rows of `code`. Weights have no zero point. */
#define GROUP 4 /* products that one step adds to a sum */
#define PLANES 1
typedef uint8_t code;
typedef int8_t tap;
typedef bytes@ group@;

/* Byte by byte: bits of `a` without a sign, of `w` with one. */
INLINE ints@ dot@(ints@ sum, group@ a, group@ w) {
    const ints@ p = (ints@)a, q = (ints@)w;
    return sum + (p & 255) * (q << 24 >> 24) + (p >> 8 & 255) * (q << 16 >> 24) + (p >> 16 & 255) * (q << 8 >> 24) +
           (p >> 24 & 255) * (q >> 24);
}
INLINE group@ ones@(void) { return (group@){0} + 1; }

/* What a product multiplies: the weights of @ channels, and what all of them see. */
typedef struct {
    v128_t plus, minus;
} weight@;
typedef struct {
    v128_t code, complement;
} seen@;
INLINE weight@ weight_at@(const int8_t *p) {
    const v128_t w = wasm_v128_load(p), none = wasm_i8x16_splat(0);
    return (weight@){wasm_i8x16_max(w, none), wasm_i8x16_max(wasm_i8x16_neg(w), none)};
}
INLINE seen@ seen_of@(v128_t bytes) {
    return (seen@){wasm_v128_xor(bytes, wasm_i8x16_splat(-128)), wasm_v128_xor(bytes, wasm_i8x16_splat(127))};
}
INLINE seen@ seen_at@(const code *p) { return seen_of@(wasm_v128_load32_splat(p)); }
INLINE ints@ add_product@(ints@ sum, seen@ x, weight@ w) {
    const v128_t half = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x.code, w.plus, (v128_t)sum);
    return (ints@)wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x.complement, w.minus, half);
}
INLINE ints@ add_seen@(ints@ sum, seen@ x) {
    (void)x;
    return sum; /* only weights with a zero point ask for it */
}

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
    return add_product@(sum, seen_of@(wasm_v128_load(a)), weight_at@(w));
}
INLINE ints@ count@(ints@ sum, const code *a, int last, int plane) {
    (void)a, (void)last, (void)plane;
    return sum; /* as add_seen */
}

INLINE void codes@(bytes@ from, int at, code *to) { __builtin_memcpy(to, (const uint8_t *)&from + at, @); }
