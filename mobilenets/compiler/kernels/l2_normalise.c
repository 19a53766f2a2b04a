/* 1 / sqrt(x) of a number above 0, to double precision: a first guess from its bits, then Newton's steps. */
INLINE double inverse_root(double x) {
    union {
        uint64_t bits;
        double value;
    } root = {.value = x};
    root.bits = 0x5fe6eb50c7b537a9u - (root.bits >> 1);
    for (int i = 0; i < 5; i++) root.value *= 1.5 - 0.5 * x * root.value * root.value;
    return root.value;
}

/* output: the sums, then the same scaled to length 1 (0 where all are). */
INLINE void l2_normalise(const float *restrict in, int classes, float *restrict out) {
    double total = 0.0;
    for (int i = 0; i < classes; i++) total += (double)in[i] * (double)in[i];
    const double scale = total == 0.0 ? 0.0 : inverse_root(total);
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = (float)((double)in[i] * scale);
    }
}
