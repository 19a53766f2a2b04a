int mobilenets_@_run(const uint8_t *pixels, int8_t *logits, void *arena) {
    uint8_t *const memory = (uint8_t *)arena;
    uint8_t *const last = (uint8_t *)logits;
    int i, y, best = 0;
    for (i = 0; i < STEPS; i++) {
        const step *s = steps + i;
        const uint8_t *in = i ? memory + s->input : pixels;
        uint8_t *out = i + 1 < STEPS ? memory + s->output : last;
        half *codes = (half *)(void *)(memory + s->codes);
        for (y = 0; y < s->rows; y += s->band) {
            const int rows = s->rows - y < s->band ? s->rows - y : s->band;
            s->gather(s, in, y, rows, codes);
            product(s, codes, rows * s->columns, out + y * (ptrdiff_t)s->out_row);
        }
    }
    for (i = 0; i < CLASSES; i++) {
        logits[i] = (int8_t)(last[i] ^ 0x80);
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}
