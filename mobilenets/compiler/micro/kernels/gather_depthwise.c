/* A depthwise convolution: `rows` rows from y on, as codes [pairs][pitch][2]. */
KERNEL void gather_depthwise(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const rule *r = &s->first;
    const int size = s->kernel * s->kernel;
    int c, i, x, dy, dx;
    for (c = 0; c < s->channels; c++) {
        const int8_t *taps = s->taps + c * size;
        const uint8_t *plane = in + c * (ptrdiff_t)s->plane;
        half *to = codes + c / 2 * 2 * s->pitch + c % 2;
        for (i = 0; i < rows; i++)
            for (x = 0; x < s->columns; x++, to += 2) {
                const int above = (y + i) * s->stride - s->top, before = x * s->stride - s->left;
                uint32_t sum = (uint32_t)r->bias[c];
                for (dy = 0; dy < s->kernel; dy++)
                    for (dx = 0; dx < s->kernel; dx++) {
                        const int row = above + dy, column = before + dx;
                        const int inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
                        const int from = inside ? plane[row * (ptrdiff_t)s->row + column] : s->padding;
                        sum += (uint32_t)(from * (taps[dy * s->kernel + dx] - r->weight_zero));
                    }
                *to = (half)code(sum, r->factor[c], r);
            }
    }
}
