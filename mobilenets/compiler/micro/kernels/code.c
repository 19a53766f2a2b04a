/* The code of a sum. Adding 1.5 * 2^23 rounds to the nearest whole number, halves to even; the limits before it keep
 * the product and the sum from becoming one instruction, which would round once. */
static inline int code(uint32_t sum, float factor, const rule *r) {
    float real = (float)(int32_t)sum * factor;
    union {
        float value;
        int32_t bits;
    } whole;
    int q;
    real = real < -1024.0f ? -1024.0f : real;
    real = real > 1024.0f ? 1024.0f : real;
    whole.value = real + 12582912.0f;
    q = (int)(whole.bits - 0x4b400000) + r->zero;
    q = q < r->low ? r->low : q > r->high ? r->high : q;
    return r->table ? r->table[q] : q;
}
