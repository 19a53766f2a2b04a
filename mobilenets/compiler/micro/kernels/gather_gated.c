/* An image times one factor per channel, which is the gate: `rows` rows from y on. */
KERNEL void gather_gated(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const rule *r = &s->first;
    const uint8_t *gate = in - s->input + s->gate;
    int c, i, x;
    for (c = 0; c < s->channels; c++) {
        const int factor = gate[c] - r->weight_zero;
        for (i = 0; i < rows; i++) {
            const uint8_t *at = in + (y + i) * (ptrdiff_t)s->row + c * (ptrdiff_t)s->plane;
            for (x = 0; x < s->columns; x++, at += s->pixel)
                put(s, codes, i * s->columns + x, c, code((uint32_t)((*at - s->padding) * factor), r->factor[0], r));
        }
    }
}
