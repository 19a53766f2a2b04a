/* ReLU (limit 0), ReLU6 (limit 6), hard swish (limit -2), hard sigmoid (limit -3), or none of them (limit -1). */
INLINE vec@ activate@(vec@ v, float limit) {
    if (limit == -1) return v;
    vec@ x = v;
    if (limit < 0) x += 3.0f;
    x = (vec@)((bits@)x & (x > 0));
    if (limit) {
        const float most = limit < 0 ? 6.0f : limit;
        const bits@ below = x < most;
        x = (vec@)(((bits@)x & below) | ((bits@)splat@(most) & ~below));
    }
    if (limit == -2) return v * x * (1.0f / 6.0f);
    if (limit == -3) return x * (1.0f / 6.0f);
    return x;
}
