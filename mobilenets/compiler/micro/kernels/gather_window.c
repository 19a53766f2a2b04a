/* The windows of `rows` rows from y on: row by row of the window, pixel by pixel, channel by channel. */
KERNEL void gather_window(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int k = 0, dy, dx, c, i, x;
    for (dy = 0; dy < s->kernel; dy++)
        for (dx = 0; dx < s->kernel; dx++)
            for (c = 0; c < s->channels; c++, k++)
                for (i = 0; i < rows; i++) {
                    const int row = (y + i) * s->stride - s->top + dy;
                    const uint8_t *from = in + row * (ptrdiff_t)s->row + c * (ptrdiff_t)s->plane;
                    for (x = 0; x < s->columns; x++) {
                        const int column = x * s->stride - s->left + dx;
                        const int inside = row >= 0 && row < s->height && column >= 0 && column < s->width;
                        put(s, codes, i * s->columns + x, k, inside ? from[column * (ptrdiff_t)s->pixel] : s->padding);
                    }
                }
}
