/* A depthwise convolution: `rows` rows from y on. */
KERNEL void gather_depthwise(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const rule *r = &s->first;
    int c, i, x, dy, dx;
    for (c = 0; c < s->channels; c++) {
        const uint8_t *plane = in + c * (ptrdiff_t)s->plane;
        for (i = 0; i < rows; i++)
            for (x = 0; x < s->columns; x++) {
                const int above = (y + i) * s->stride - s->top, before = x * s->stride - s->left;
                uint32_t sum = (uint32_t)r->bias[c];
                for (dy = 0; dy < s->kernel; dy++)
                    for (dx = 0; dx < s->kernel; dx++) {
                        const int row = above + dy, column = before + dx;
                        const int inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
                        const uint8_t *from = plane + row * (ptrdiff_t)s->row + column * (ptrdiff_t)s->pixel;
                        sum += (uint32_t)((inside ? *from : s->padding) * (tap(s, c, dy * s->kernel + dx) - r->weight_zero));
                    }
                put(s, codes, i * s->columns + x, c, code(sum, r->factor[c], r));
            }
    }
}
