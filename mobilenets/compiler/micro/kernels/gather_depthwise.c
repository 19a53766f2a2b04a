/* A depthwise convolution: `rows` rows from y on. */
KERNEL void gather_depthwise(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const rule *r = &s->first;
    const ptrdiff_t row = (ptrdiff_t)s->row, pixel = (ptrdiff_t)s->pixel;
    const int kernel = s->kernel, stride = s->stride;
    int c, i, x, dy, dx, w[25];
    for (c = 0; c < s->channels; c++) {
        const uint8_t *plane = in + c * (ptrdiff_t)s->plane;
        for (i = 0; i < kernel * kernel; i++) w[i] = tap(s, c, i) - r->weight_zero;
        for (i = 0; i < rows; i++)
            for (x = 0; x < s->columns; x++) {
                const int above = (y + i) * stride - s->top, before = x * stride - s->left;
                const uint8_t *a = plane + above * row + before * pixel, *b = a + row, *d = b + row;
                uint32_t sum = (uint32_t)r->bias[c];
                if (kernel == 3 && above >= 0 && above + 3 <= s->height && before >= 0 && before + 3 <= s->width) {
                    sum += (uint32_t)(a[0] * w[0] + a[pixel] * w[1] + a[2 * pixel] * w[2]);
                    sum += (uint32_t)(b[0] * w[3] + b[pixel] * w[4] + b[2 * pixel] * w[5]);
                    sum += (uint32_t)(d[0] * w[6] + d[pixel] * w[7] + d[2 * pixel] * w[8]);
                } else {
                    for (dy = 0; dy < kernel; dy++)
                        for (dx = 0; dx < kernel; dx++) {
                            const int inside = above + dy >= 0 && above + dy < s->height && before + dx >= 0 &&
                                               before + dx < s->width;
                            sum += (uint32_t)((inside ? a[dy * row + dx * pixel] : s->padding) * w[dy * kernel + dx]);
                        }
                }
                put(s, codes, i * s->columns + x, c, code(sum, r->factor[c], r));
            }
    }
}
