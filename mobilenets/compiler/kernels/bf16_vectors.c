/* Vectors of @ pairs and of @ bf16. */
typedef uint32_t pairs@ __attribute__((vector_size(@ * sizeof(uint32_t)), aligned(2), may_alias));
typedef uint16_t halves@ __attribute__((vector_size(@ * sizeof(uint16_t)), aligned(2), may_alias));

INLINE pairs@ load_pairs@(const uint16_t *p) { return *(const pairs@ *)p; }
INLINE vec@ first@(pairs@ v) { return (vec@)(v << 16); }
INLINE vec@ second@(pairs@ v) { return (vec@)(v & 0xffff0000u); }
INLINE vec@ widen@(halves@ v) { return first@(__builtin_convertvector(v, pairs@)); }

/* Rounded; of no number, no number. */
INLINE halves@ rounded@(vec@ v) {
    const pairs@ bits = (pairs@)v, none = (pairs@)(v != v);
    const pairs@ rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return __builtin_convertvector((rounded & ~none) | (0x7fff & none), halves@);
}

INLINE halves@ narrow@(vec@ v) { return NARROW@(v); }

/* v as bf16 or, where `size` is 4 bytes, as floats, from element `at` of out. */
INLINE void put@(void *out, int at, vec@ v, int size) {
    if (size == 4)
        store@((float *)out + at, v);
    else
        *(halves@ *)((uint16_t *)out + at) = narrow@(v);
}

/* Pairs of an even and an odd one each. */
INLINE pairs@ joined@(vec@ even, vec@ odd) {
    return __builtin_convertvector(narrow@(even), pairs@) | __builtin_convertvector(narrow@(odd), pairs@) << 16;
}
