/* What the assembly reads, in the order of its registers: see helium.py. */
struct tiles {
    const uint8_t *codes, *second; /* of two pixels */
    const int8_t *weights;         /* of two outputs, one behind the other */
    int32_t depth;                 /* codes of a pixel: a multiple of 16 */
    uint8_t *out;
    int32_t count, step, blocks;      /* pairs of pixels; bytes of output between them; 16 codes each, less one */
    uint32_t offsets[4];              /* of the four codes of the output */
    int32_t bias[4];
    float factor[4];
    int32_t high, low, zero; /* limits without the zero point */
    const word *rest;       /* of pixels: minus the weights' zero point times the sum of their codes */
};

/* All outputs of `pixels` pixels. */
KERNEL void product_plain(const step *s, const half *codes, int pixels, uint8_t *out) {
    const rule *r = &s->product;
    const int depth = 2 * s->pairs;
    int n, x, k;
    for (n = 0; n < s->outputs; n++)
        for (x = 0; x < pixels; x++) {
            const int8_t *from = (const int8_t *)(const void *)codes + x * depth, *w = s->weights + n * depth;
            uint32_t sum = (uint32_t)r->bias[n];
            for (k = 0; k < depth; k++) sum += (uint32_t)(from[k] * (w[k] - r->weight_zero));
            out[x * s->outputs + n] = (uint8_t)code(sum, r->factor[n], r);
        }
}

#ifdef HELIUM
KERNEL void dots_any(const tiles *t);

/* The rest of each pixel's sums, the last one twice. */
KERNEL void sum_codes(const step *s, const half *codes, int pixels, word *rest) {
    const int8_t *from = (const int8_t *)(const void *)codes;
    int x, k;
    for (x = 0; x < pixels; x++) {
        int32_t sum = 0;
        for (k = 0; k < s->pairs; k += 8, from += 16) sum = vaddvaq_s8(sum, vldrbq_s8(from));
        rest[x] = (word)(-s->product.weight_zero * sum);
    }
    rest[pixels] = rest[pixels - 1];
}
#endif

KERNEL NOINLINE void product(const step *s, half *codes, int pixels, uint8_t *out) {
#ifdef HELIUM
    const rule *r = &s->product;
    const int depth = 2 * s->pairs;
    word *rest = (word *)(void *)((uint8_t *)(void *)codes + (s->pitch + 3) * depth);
    int n, i;
    if (s->tiles) {
        if (s->tiles == dots_any) sum_codes(s, codes, pixels, rest);
        for (n = 0; n < s->outputs; n += 2) {
            const int other = n + 1 < s->outputs;
            tiles t;
            for (i = 0; i < 4; i++) {
                t.offsets[i] = (uint32_t)(i / 2 * s->outputs + (i & other));
                t.bias[i] = r->bias[n + (i & other)], t.factor[i] = r->factor[n + (i & other)];
            }
            t.codes = (const uint8_t *)(const void *)codes, t.second = t.codes + depth;
            t.weights = s->weights + n * depth, t.depth = depth;
            t.out = out + n, t.step = 2 * s->outputs;
            t.blocks = depth / 16 - 1, t.high = r->high - r->zero, t.low = r->low - r->zero, t.zero = r->zero;
            t.rest = rest;
            t.count = pixels / 2;
            if (t.count) s->tiles(&t);
            if (pixels % 2 == 0) continue;
            t.codes += (pixels - 1) * depth, t.second = t.codes;
            t.out += (pixels - 1) * s->outputs;
            t.offsets[2] = t.offsets[0], t.offsets[3] = t.offsets[1];
            t.rest = rest + pixels - 1;
            t.count = 1;
            s->tiles(&t);
        }
        return;
    }
#endif
    product_plain(s, codes, pixels, out);
}
