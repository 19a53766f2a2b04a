/* output: the logits, then 1 / (1 + exp(-x)) of each. */
INLINE void sigmoid(const float *restrict in, int classes, float *restrict out) {
    for (int i = 0; i < classes; i++) {
        const float power = exponential(in[i] < 0.0f ? in[i] : -in[i]);
        out[i] = in[i];
        out[classes + i] = (in[i] < 0.0f ? power : 1.0f) / (1.0f + power);
    }
}
