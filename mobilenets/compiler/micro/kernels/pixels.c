/* Store code k of a pixel; codes are [pixel][2 * pairs] bytes with a sign, less by 128, as the products read them. */
KERNEL void put(const step *s, half *codes, int pixel, int k, int value) {
    ((uint8_t *)(void *)codes)[pixel * 2 * s->pairs + k] = (uint8_t)(value ^ 0x80);
}

/* The same code. */
KERNEL int take(const step *s, const half *codes, int pixel, int k) {
    return ((const uint8_t *)(const void *)codes)[pixel * 2 * s->pairs + k] ^ 0x80;
}

/* Weight j of a channel of a depthwise convolution. */
KERNEL int tap(const step *s, int c, int j) { return s->taps[j * s->channels + c]; }
