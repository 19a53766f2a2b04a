/* exp(x) for x <= 0, within 1e-6 of its value (0 where that is below the smallest normal float); of no number, no number.
 * x = n ln 2 + r, |r| <= ln 2 / 2: 2^n is put together from its bits, exp(r) is a polynomial. */
INLINE float exponential(float x) {
    if (!(x > -87.33f)) return x < 0.0f ? 0.0f : x;
    const int n = (int)(x * 1.44269504f - 0.5f);
    const float r = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f; /* ln 2 in two parts */
    const union {
        uint32_t bits;
        float value;
    } power = {(uint32_t)(n + 127) << 23};
    const float r2 = r * r;
    const float low = 1.0f + r + r2 * (0.5f + r * 0.16666667f);
    return power.value * (low + r2 * r2 * (0.041666668f + r * (0.0083333338f + r * 0.0013888889f)));
}
