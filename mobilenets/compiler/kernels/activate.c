/* ReLU (limit 0), or ReLU6 (limit 6), or neither (limit < 0). */
INLINE vec@ activate@(vec@ v, float limit) {
    if (limit < 0) return v;
    v = (vec@)((bits@)v & (v > 0));
    if (limit > 0) {
        const bits@ below = v < limit;
        v = (vec@)(((bits@)v & below) | ((bits@)splat@(limit) & ~below));
    }
    return v;
}
