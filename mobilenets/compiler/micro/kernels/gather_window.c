/* The windows of `rows` rows from y on: row by row of the window, pixel by pixel, channel by channel. */
KERNEL void gather_window(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int k = 0, dy, dx, c, i, x;
    for (dy = 0; dy < s->kernel; dy++)
        for (dx = 0; dx < s->kernel; dx++) {
            const int from = s->left <= dx ? 0 : (s->left - dx + s->stride - 1) / s->stride;
            const int behind = s->width - 1 + s->left - dx < 0 ? 0 : (s->width - 1 + s->left - dx) / s->stride + 1;
            for (c = 0; c < s->channels; c++, k++)
                for (i = 0; i < rows; i++) {
                    const int row = (y + i) * s->stride - s->top + dy, pixel = i * s->columns;
                    const int inside = row >= 0 && row < s->height;
                    const int first = inside && from < s->columns ? from : s->columns;
                    const int last = behind < first ? first : behind < s->columns ? behind : s->columns;
                    const ptrdiff_t next = s->stride * (ptrdiff_t)s->pixel;
                    const uint8_t *at = in + row * (ptrdiff_t)s->row + c * (ptrdiff_t)s->plane + first * next +
                                        (dx - s->left) * (ptrdiff_t)s->pixel;
                    for (x = 0; x < first; x++) put(s, codes, pixel + x, k, s->padding);
                    for (; x < last; x++, at += next) put(s, codes, pixel + x, k, *at);
                    for (; x < s->columns; x++) put(s, codes, pixel + x, k, s->padding);
                }
        }
}
