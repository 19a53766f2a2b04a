/* From sums to bytes, by the rule of quant/scheme.py, for vectors of @ sums: clamp(round_half_even(float(sum) *
 * factor) + zero point). A byte of activations is q + 128: `zero` stands for 0, `low` and `high` are the least and
 * the largest that the activation lets through. Both clamps come before rounding: a whole number bounds x just as
 * well, and what is left is rounded by adding 1.5 * 2^23, behind which there is no room for a fraction. */
typedef int32_t ints@ __attribute__((vector_size(@ * 4), aligned(4), may_alias));
typedef float reals@ __attribute__((vector_size(@ * 4), aligned(4), may_alias));
typedef uint8_t bytes@ __attribute__((vector_size(@ * 4), aligned(1), may_alias));

INLINE ints@ ints_at@(const int32_t *p) { return *(const ints@ *)p; }
INLINE reals@ reals_at@(const float *p) { return *(const reals@ *)p; }

/* The whole numbers nearest to sum * factor, ties to even, but at most `most` and at least -512. */
INLINE ints@ nearest@(ints@ sum, reals@ factor, float most) {
    const v128_t x = (v128_t)(__builtin_convertvector(sum, reals@) * factor);
    const v128_t within = wasm_f32x4_pmax(wasm_f32x4_pmin(x, wasm_f32x4_splat(most)), wasm_f32x4_splat(-512.0f));
    return (ints@)((reals@)within + 12582912.0f) - 0x4B400000;
}

/* Four vectors of whole numbers, plus `zero`, within low..255, as bytes. */
INLINE bytes@ narrow@(ints@ a, ints@ b, ints@ c, ints@ d, int zero, int low) {
    const v128_t z = wasm_i16x8_splat((int16_t)zero);
    const v128_t ab = wasm_i16x8_add(wasm_i16x8_narrow_i32x4((v128_t)a, (v128_t)b), z);
    const v128_t cd = wasm_i16x8_add(wasm_i16x8_narrow_i32x4((v128_t)c, (v128_t)d), z);
    return (bytes@)wasm_u8x16_max(wasm_u8x16_narrow_i16x8(ab, cd), wasm_u8x16_splat((uint8_t)low));
}

/* `count` vectors of sums, whose factors begin again every `period` vectors, as bytes one after the other; those that
 * are less than four vectors end after `bytes`. */
INLINE void write@(const ints@ *sum, int count, int period, const float *factor, int zero, int low, int high,
                   uint8_t *to, int bytes) {
    ints@ n[4];
    UNROLL for (int v = 0; v < count; v += 4) {
        UNROLL for (int i = 0; i < 4; i++) {
            const int at = v + i < count ? v + i : v; /* what is too much is not written */
            n[i] = nearest@(sum[at], reals_at@(factor + at % period * @), (float)(high - zero));
        }
        const bytes@ whole = narrow@(n[0], n[1], n[2], n[3], zero, low);
        __builtin_memcpy(to + v * @, &whole, (size_t)(bytes - v * @ < 4 * @ ? bytes - v * @ : 4 * @));
    }
}
