/* How far a call is: rows that each step has computed, and the first that is still there. */
typedef struct {
    const uint8_t *pixels;
    uint8_t *memory, *logits;
    uint16_t done[STEPS], first[STEPS];
} progress;

/* Compute the rows of step i up to `until`. Where the image before it is kept in part, its rows are computed first. */
KERNEL NOINLINE void advance(progress *p, int i, int until) {
    const step *s = steps + i;
    while (p->done[i] < until) {
        const int y = p->done[i], rows = s->rows - y < s->band ? s->rows - y : s->band;
        const uint8_t *in = i ? p->memory + s->input : p->pixels;
        uint8_t *out = i + 1 < STEPS ? p->memory + s->output : p->logits;
        half *codes = (half *)(void *)(p->memory + s->codes);
        if (i && s[-1].kept) {
            const int wanted = (y + rows - 1) * s->stride - s->top + s->kernel;
            advance(p, i - 1, wanted < s->height ? wanted : s->height);
            in -= p->first[i - 1] * (ptrdiff_t)s->row;
        }
        if (s->kept && y + rows - p->first[i] > s->kept) { /* rows that the next step has read make room */
            const int unread = p->done[i + 1] * s[1].stride - s[1].top, first = unread < y ? unread : y;
            memmove(out, out + (first - p->first[i]) * (ptrdiff_t)s->out_row, (size_t)(y - first) * s->out_row);
            p->first[i] = (uint16_t)first;
        }
        s->gather(s, in, y, rows, codes);
        out += (y - p->first[i]) * (ptrdiff_t)s->out_row;
#ifdef GATES
        if (!s->weights) store(s, codes, rows * s->columns, out);
        else
#endif
            product(s, codes, rows * s->columns, out);
#ifdef SUMS
        if (s->sum) add(s, p->memory, y, rows, out);
#endif
        p->done[i] = (uint16_t)(y + rows);
    }
}

int mobilenets_@_run(const uint8_t *pixels, int8_t *logits, void *arena) {
    progress p;
    int i, best = 0;
    memset(&p, 0, sizeof p);
    p.pixels = pixels, p.memory = (uint8_t *)arena, p.logits = (uint8_t *)logits;
    for (i = 0; i < STEPS; i++)
        if (!steps[i].kept) advance(&p, i, steps[i].rows);
    for (i = 0; i < CLASSES; i++) {
        logits[i] = (int8_t)(p.logits[i] ^ 0x80);
        best = logits[i] > logits[best] ? i : best;
    }
    return best;
}
