/* output: the logits, then their softmax. */
INLINE void softmax(const float *restrict in, int classes, float *restrict out) {
    float largest = in[0], total = 0.0f;
    for (int i = 1; i < classes; i++) largest = in[i] > largest ? in[i] : largest;
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = exponential(in[i] - largest);
        total += out[classes + i];
    }
    for (int i = 0; i < classes; i++) out[classes + i] /= total;
}
