/* Add an earlier image to the codes of `rows` rows from y on. */
KERNEL NOINLINE void add(const step *s, const uint8_t *memory, int y, int rows, uint8_t *out) {
    const sum *a = s->sum;
    const ptrdiff_t pixel = (ptrdiff_t)a->pixel;
    int c, i, x;
    for (c = 0; c < s->outputs; c++)
        for (i = 0; i < rows; i++) {
            const uint8_t *from = memory + a->from + (y + i) * (ptrdiff_t)a->row + c * (ptrdiff_t)a->plane;
            uint8_t *to = out + i * (ptrdiff_t)s->out_row + c * (ptrdiff_t)s->out_plane;
            for (x = 0; x < s->columns; x++, from += pixel, to += pixel) {
                const int q = ((*to * a->factor + *from * a->from_factor + a->bias) >> a->shift) + a->zero;
                *to = (uint8_t)(q < a->low ? a->low : q > a->high ? a->high : q);
            }
        }
}
