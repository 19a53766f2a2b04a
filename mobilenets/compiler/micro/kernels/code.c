#if (defined(__arm__) && !defined(__ARM_FP)) || (defined(__riscv) && !defined(__riscv_flen))
#define SOFT /* floats are computed by functions */
#endif

/* The whole number nearest to sum * factor in float32, halves to even, kept within 1024 of 0. */
#ifdef SOFT
/* In integers. The product of two numbers of 24 bits is rounded to 24 bits, then to a whole number. */
KERNEL int nearest(int32_t sum, float factor) {
    union {
        float value;
        uint32_t bits;
    } m;
    uint32_t a = sum < 0 ? 0u - (uint32_t)sum : (uint32_t)sum, k, rest, q;
    uint64_t product, half;
    int shift;
    m.value = factor;
    shift = 150 - (int)(m.bits >> 23);
    if (shift >= 56) return 0; /* it is below one half */
    for (k = 0; a >> k >= 1u << 24;) k++;
    if (k) {
        rest = a & ((1u << k) - 1);
        a = (a >> k) + (rest + ((a >> k) & 1) > 1u << (k - 1));
    }
    product = (uint64_t)a * ((m.bits & 0x7fffff) | 0x800000);
    shift -= (int)k;
    if (product >> shift >= 1024) return sum < 0 ? -1024 : 1024;
    q = (uint32_t)(product >> (shift - 14)); /* 14 bits behind the point; there are at least 16 */
    if ((q & 0x3fff) - 0x1ffe > 3) { /* one rounding does what two do */
        q = (q + 0x2000) >> 14;
    } else {
        for (k = 0; product >> k >= 1u << 24;) k++;
        if (k) {
            half = product & (((uint64_t)1 << k) - 1);
            product = (product >> k) + (half + ((product >> k) & 1) > (uint64_t)1 << (k - 1));
        }
        shift -= (int)k;
        half = (uint64_t)1 << (shift - 1);
        q = (uint32_t)(product >> shift);
        q += (product & (2 * half - 1)) + (q & 1) > half;
    }
    return sum < 0 ? -(int)q : (int)q;
}
#else
/* Adding 1.5 * 2^23 rounds; the limits before it keep the product and the sum from becoming one instruction, which
 * would round once. */
KERNEL int nearest(int32_t sum, float factor) {
    float real = (float)sum * factor;
    union {
        float value;
        int32_t bits;
    } whole;
    real = real < -1024.0f ? -1024.0f : real;
    real = real > 1024.0f ? 1024.0f : real;
    whole.value = real + 12582912.0f;
    return (int)(whole.bits - 0x4b400000);
}
#endif

/* The code of a sum. */
KERNEL int code(uint32_t sum, float factor, const rule *r) {
    int q = nearest((int32_t)sum, factor) + r->zero;
    q = q < r->low ? r->low : q > r->high ? r->high : q;
    return r->table ? r->table[q] : q;
}
