#if defined(__ARM_FEATURE_DSP) && defined(__ARM_FP) && defined(__thumb2__) && !defined(__ARM_FEATURE_MVE)
#define DSP
#define FAST(fast, plain) fast

typedef uint32_t __attribute__((may_alias, aligned(1))) anyword;

#define TWO(name, instruction)                               \
    static inline uint32_t name(uint32_t four) {             \
        uint32_t two;                                        \
        __asm__(instruction : "=r"(two) : "r"(four));        \
        return two;                                          \
    }
TWO(widen16, "sxtb16 %0, %1")
TWO(widen16_odd, "sxtb16 %0, %1, ror #8")
TWO(codes16, "uxtb16 %0, %1")
TWO(codes16_odd, "uxtb16 %0, %1, ror #8")

static inline uint32_t subtract16(uint32_t a, uint32_t b) {
    uint32_t two;
    __asm__("ssub16 %0, %1, %2" : "=r"(two) : "r"(a), "r"(b));
    return two;
}

/* Add the products of the lower and of the upper halves. */
static inline uint32_t multiply16(uint32_t a, uint32_t b, uint32_t sum) {
    uint32_t all;
    __asm__("smlad %0, %1, %2, %3" : "=r"(all) : "r"(a), "r"(b), "r"(sum));
    return all;
}

static inline uint32_t pack16(uint32_t low, uint32_t high) {
    uint32_t two;
    __asm__("pkhbt %0, %1, %2, lsl #16" : "=r"(two) : "r"(low), "r"(high));
    return two;
}
#else
#define FAST(fast, plain) plain
#endif
