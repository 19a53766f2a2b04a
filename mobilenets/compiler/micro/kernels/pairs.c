/* Store code k of a pixel; codes are [pairs][pitch][2]. */
KERNEL void put(const step *s, half *codes, int pixel, int k, int value) {
    codes[k / 2 * 2 * s->pitch + 2 * pixel + k % 2] = (half)value;
}

/* The same code. */
KERNEL int take(const step *s, const half *codes, int pixel, int k) {
    return codes[k / 2 * 2 * s->pitch + 2 * pixel + k % 2];
}

/* Weight j of a channel of a depthwise convolution. */
KERNEL int tap(const step *s, int c, int j) { return s->taps[c * s->kernel * s->kernel + j]; }
