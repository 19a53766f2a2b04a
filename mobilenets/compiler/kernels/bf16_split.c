/* Each float as the sum of `parts` bf16, the largest first: pixels of `channels` floats, one behind the other, into parts
 * that lie `part` elements apart, each of pixels `pixel` elements apart. */
INLINE void bf16_split@(const float *restrict in, int channels, int pixels, int parts, uint16_t *restrict out, int pixel,
                        int part) {
    for (int p = 0; p < pixels; p++)
        for (int c = 0; c < channels; c += @) {
            vec@ left = load@(in + p * channels + c);
            UNROLL for (int i = 0; i < parts; i++) {
                const halves@ rounded = narrow@(left);
                *(halves@ *)(out + i * part + p * pixel + c) = rounded;
                left -= widen@(rounded);
            }
        }
}
