/* What bytes stand for. */
INLINE void int8_logits(const uint8_t *restrict in, int count, float scale, int zero, float *restrict out) {
    for (int i = 0; i < count; i++) out[i] = scale * (float)(in[i] - zero);
}
