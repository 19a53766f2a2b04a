/* Write the codes of `pixels` pixels as they are. */
KERNEL NOINLINE void store(const step *s, const half *codes, int pixels, uint8_t *out) {
    int c, i;
    for (c = 0; c < s->outputs; c++)
        for (i = 0; i < pixels; i++)
            out[i / s->columns * (ptrdiff_t)s->out_row + i % s->columns * (ptrdiff_t)s[1].pixel +
                c * (ptrdiff_t)s->out_plane] = (uint8_t)take(s, codes, i, c);
}
