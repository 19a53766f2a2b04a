/* From sums to bytes, by the rule of quant/scheme.py, for vectors of four sums: clamp(round_half_even(float(sum) *
 * factor) + zero point). A byte of activations is q + 128: `zero` stands for 0, `low` and `high` are the least and the
 * largest that the activation lets through. Every conversion to fewer bits saturates, so that the clamp comes last. */
typedef int32_t ints4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef float reals4 __attribute__((vector_size(16), aligned(4), may_alias));
typedef uint8_t bytes4 __attribute__((vector_size(16), aligned(1), may_alias));
typedef int8_t chars4 __attribute__((vector_size(16), aligned(1), may_alias));

INLINE ints4 ints_at4(const int32_t *p) { return *(const ints4 *)p; }
INLINE reals4 reals_at4(const float *p) { return *(const reals4 *)p; }

/* The whole numbers nearest to sum * factor, ties to even; what is beyond 16 bits may be any number beyond them. */
INLINE ints4 whole4(ints4 sum, reals4 factor) {
    reals4 x = __builtin_convertvector(sum, reals4) * factor;
#ifdef __aarch64__
    return (ints4)vcvtnq_s32_f32((float32x4_t)x);
#else
    const float magic = 12582912.0f; /* 1.5 * 2^23: behind it there is no room for a fraction */
    const ints4 above = x > 65536.0f, below = x < -65536.0f;
    x = (reals4)(((ints4)x & ~above & ~below) | ((ints4)((reals4){0} + 65536.0f) & above) |
                 ((ints4)((reals4){0} - 65536.0f) & below));
    return (ints4)(x + magic) - 0x4B400000;
#endif
}

/* The same, but at most `most`. */
INLINE ints4 nearest4(ints4 sum, reals4 factor, float most) {
    const ints4 whole = whole4(sum, factor), above = whole > (int)most;
    return (whole & ~above) | (((int)most - (ints4){0}) & above);
}

/* Four vectors of whole numbers, plus `zero`, within low..high, as bytes. */
INLINE bytes4 narrow4(ints4 a, ints4 b, ints4 c, ints4 d, int zero, int low, int high) {
#ifdef __aarch64__
    const int16x8_t z = vdupq_n_s16((int16_t)zero);
    const int16x8_t ab = vqaddq_s16(vqmovn_high_s32(vqmovn_s32((int32x4_t)a), (int32x4_t)b), z);
    const int16x8_t cd = vqaddq_s16(vqmovn_high_s32(vqmovn_s32((int32x4_t)c), (int32x4_t)d), z);
    const uint8x16_t all = vqmovun_high_s16(vqmovun_s16(ab), cd);
    return (bytes4)vminq_u8(vmaxq_u8(all, vdupq_n_u8((uint8_t)low)), vdupq_n_u8((uint8_t)high));
#else
    const ints4 all[4] = {a, b, c, d};
    bytes4 result;
    for (int i = 0; i < 16; i++) {
        const int value = all[i / 4][i % 4] + zero;
        result[i] = (uint8_t)(value < low ? low : value > high ? high : value);
    }
    return result;
#endif
}
