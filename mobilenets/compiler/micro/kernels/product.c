/* What a kernel for tiles reads: the first thirteen words are in the order of the registers of the assembly in dsp.py. */
struct tiles {
    float factor_a, factor_b; /* of two outputs */
    int32_t bias_a, bias_b;
    const half *codes, *end;         /* of the first pixel, and behind the last; a multiple of four pixels */
    uint8_t *a, *b;                  /* where the codes of both outputs go */
    const half *panel, *panel_end;   /* weights in 16 bits: [pairs] of a0 a1 b0 b1 */
    uint32_t skip, high, zero;       /* bytes of code to jump over; the largest code, four times; that of 0, twice */
    const rule *r;
    int32_t pitch;
};

/* Pixels in fours, two at a time, times two outputs. */
KERNEL void tiles_any(const tiles *t) {
    const half *from, *w, *at;
    uint8_t *a = t->a, *b = t->b;
    for (from = t->codes; from != t->end; from += 4, a += 2, b += 2) {
        uint32_t a0 = (uint32_t)t->bias_a, a1 = a0, b0 = (uint32_t)t->bias_b, b1 = b0;
        for (w = t->panel, at = from; w != t->panel_end; w += 4, at += 2 * t->pitch) {
            a0 += (uint32_t)(at[0] * w[0] + at[1] * w[1]);
            a1 += (uint32_t)(at[2] * w[0] + at[3] * w[1]);
            b0 += (uint32_t)(at[0] * w[2] + at[1] * w[3]);
            b1 += (uint32_t)(at[2] * w[2] + at[3] * w[3]);
        }
        b[0] = (uint8_t)code(b0, t->factor_b, t->r), b[1] = (uint8_t)code(b1, t->factor_b, t->r);
        a[0] = (uint8_t)code(a0, t->factor_a, t->r), a[1] = (uint8_t)code(a1, t->factor_a, t->r);
    }
}

#ifdef DSP
KERNEL void widen_16(const void *from, void *to, int count);
#endif

/* The weights of outputs n and n + 1 in 16 bits, without their zero point: [outputs / 2][pairs] of a0 b0 a1 b1. */
KERNEL void widen(const step *s, int n, half *panel) {
    const int8_t *w = s->weights + n * 2 * s->pairs;
    const int zero = s->product.weight_zero;
    int k;
#ifdef DSP
    const word both = (word)(zero & 0xffff) * 0x10001u;
    word *to = (word *)(void *)panel;
    widen_16(w, panel, 4 * s->pairs);
    if (zero)
        for (k = 0; k < 2 * s->pairs; k++) to[k] = subtract16(to[k], both);
#else
    for (k = 0; k < s->pairs; k++, w += 4, panel += 4) {
        panel[0] = (half)(w[0] - zero), panel[1] = (half)(w[2] - zero);
        panel[2] = (half)(w[1] - zero), panel[3] = (half)(w[3] - zero);
    }
#endif
}

/* The codes of outputs n and n + 1 of one pixel. */
KERNEL void product_pixel(const step *s, const half *from, int n, uint8_t *out) {
    const rule *r = &s->product;
    const int8_t *w = s->weights + n * 2 * s->pairs;
    const int both = n + 1 < s->outputs, zero = r->weight_zero;
    uint32_t a = (uint32_t)r->bias[n], b = both ? (uint32_t)r->bias[n + 1] : 0;
    int k;
    for (k = 0; k < s->pairs; k++, w += 4, from += 2 * s->pitch) {
#ifdef DSP
        const word codes = *(const word *)(const void *)from, four = *(const word *)(const void *)w;
        const word zeros = (word)(zero & 0xffff) * 0x10001u;
        a = multiply16(codes, subtract16(widen16(four), zeros), a);
        b = multiply16(codes, subtract16(widen16_odd(four), zeros), b);
#else
        a += (uint32_t)(from[0] * (w[0] - zero) + from[1] * (w[2] - zero));
        b += (uint32_t)(from[0] * (w[1] - zero) + from[1] * (w[3] - zero));
#endif
    }
    out[0] = (uint8_t)code(a, r->factor[n], r);
    if (both) out[s->out_plane] = (uint8_t)code(b, r->factor[n + 1], r);
}

#ifdef DSP
/* The same, from weights in 16 bits. */
KERNEL void product_last(const step *s, const half *from, const half *panel, int n, uint8_t *out) {
    const rule *r = &s->product;
    const int both = n + 1 < s->outputs, pitch = s->pitch;
    const word *at = (const word *)(const void *)from, *w = (const word *)(const void *)panel;
    uint32_t a = (uint32_t)r->bias[n], b = both ? (uint32_t)r->bias[n + 1] : 0;
    int k;
    for (k = s->pairs; k >= 4; k -= 4, w += 8) {
        a = multiply16(*at, w[0], a), b = multiply16(*at, w[1], b), at += pitch;
        a = multiply16(*at, w[2], a), b = multiply16(*at, w[3], b), at += pitch;
        a = multiply16(*at, w[4], a), b = multiply16(*at, w[5], b), at += pitch;
        a = multiply16(*at, w[6], a), b = multiply16(*at, w[7], b), at += pitch;
    }
    for (; k > 0; k--, w += 2, at += pitch) a = multiply16(*at, w[0], a), b = multiply16(*at, w[1], b);
    out[0] = (uint8_t)code(a, r->factor[n], r);
    if (both) out[s->out_plane] = (uint8_t)code(b, r->factor[n + 1], r);
}
#endif

/* All outputs of `pixels` pixels. The last tile of a run overlaps the one before, where more than a pixel is left. */
KERNEL NOINLINE void product(const step *s, half *codes, int pixels, uint8_t *out) {
    const rule *r = &s->product;
    half *panel = codes + 2 * s->pairs * s->pitch;
    const int last = s->run - 4, run = s->run / 4 * 4;
    int n, at, x;
    for (n = 0; n < s->outputs; n += 2) {
        const int other = n + 1 < s->outputs;
        uint8_t *to = out + n * (ptrdiff_t)s->out_plane;
        tiles t;
        t.factor_a = r->factor[n], t.factor_b = r->factor[n + other];
        t.bias_a = r->bias[n], t.bias_b = r->bias[n + other];
        t.panel = panel, t.panel_end = panel + 4 * s->pairs;
        t.skip = s->skip, t.high = (uint32_t)r->high * 0x1010101u, t.zero = (uint32_t)r->zero * 0x10001u;
        t.r = r, t.pitch = s->pitch;
        if (last >= 0) widen(s, n, panel);
        for (at = 0; at < pixels; at += s->run, to += s->out_row) {
            if (last < 0) {
                for (x = 0; x < s->run; x++) product_pixel(s, codes + 2 * (at + x), n, to + x);
                continue;
            }
            t.codes = codes + 2 * at, t.end = t.codes + 2 * run;
            t.a = to, t.b = to + (other ? s->out_plane : 0);
            s->tiles(&t);
            if (run == s->run) continue;
#ifdef DSP
            if (run + 1 == s->run) {
                product_last(s, codes + 2 * (at + run), panel, n, to + run);
                continue;
            }
#endif
            t.codes = codes + 2 * (at + last), t.end = t.codes + 8;
            t.a = to + last, t.b = t.a + (other ? s->out_plane : 0);
            s->tiles(&t);
        }
    }
}
