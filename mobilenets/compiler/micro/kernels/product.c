/* The codes of two outputs from n on of one pixel: weights are [outputs / 2][pairs] of a0 b0 a1 b1. */
static void product_pixel(const step *s, const half *from, int n, uint8_t *out) {
    const rule *r = &s->product;
    const int8_t *w = s->weights + n * 2 * s->pairs;
    const int both = n + 1 < s->outputs;
    uint32_t a = (uint32_t)r->bias[n], b = both ? (uint32_t)r->bias[n + 1] : 0;
    int k;
    for (k = 0; k < s->pairs; k++, w += 4, from += 2 * s->pitch) {
        a += (uint32_t)(from[0] * (w[0] - r->weight_zero) + from[1] * (w[2] - r->weight_zero));
        b += (uint32_t)(from[0] * (w[1] - r->weight_zero) + from[1] * (w[3] - r->weight_zero));
    }
    out[0] = (uint8_t)code(a, r->factor[n], r);
    if (both) out[s->out_plane] = (uint8_t)code(b, r->factor[n + 1], r);
}

/* All outputs of `pixels` pixels. */
static void product(const step *s, const half *codes, int pixels, uint8_t *out) {
    int n, at, x;
    for (n = 0; n < s->outputs; n += 2)
        for (at = 0; at < pixels; at += s->run)
            for (x = 0; x < s->run; x++)
                product_pixel(s, codes + 2 * (at + x), n,
                              out + at / s->run * (ptrdiff_t)s->out_row + n * (ptrdiff_t)s->out_plane + x);
}
