/* The windows of 3x3 pixels of three channels, as codes [14][pitch][2]. A row of a window is nine bytes: in each half of
 * eight lie two pairs, of bytes 0 and 2 and of 1 and 3; the ninth bytes of the three rows make the last two pairs. */
KERNEL void window_pixel(const step *s, const uint8_t *in, int row, int column, half *to) {
    int dy, j;
    for (dy = 0; dy < 3; dy++)
        for (j = 0; j < 9; j++) {
            const int pair = j < 8 ? 4 * dy + j / 4 * 2 + j % 2 : 12 + dy / 2;
            const int x = column + j / 3, y = row + dy;
            const int inside = y >= 0 && y < s->height && x >= 0 && x < s->width;
            const uint8_t *from = in + y * (ptrdiff_t)s->row + x * 3 + j % 3;
            to[pair * 2 * s->pitch + (j < 8 ? j / 2 % 2 : dy % 2)] = inside ? *from : s->padding;
        }
}

#ifdef DSP
/* One row of the windows of `count` pixels, at codes `to` of its first pair and `ninth` of its ninth bytes. */
KERNEL void window_rows(const uint8_t *from, int next, int count, word *to, half *ninth) {
    for (; count > 0; count--, from += next, to++, ninth += 2) {
        const word left = *(const anyword *)(const void *)from, right = *(const anyword *)(const void *)(from + 4);
        to[0] = codes16(left), to[PIXELS_PITCH] = codes16_odd(left);
        to[2 * PIXELS_PITCH] = codes16(right), to[3 * PIXELS_PITCH] = codes16_odd(right);
        *ninth = from[8];
    }
}
#endif

KERNEL void gather_pixels(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int i, x;
    for (i = 0; i < rows; i++, codes += 2 * s->columns) {
        const int row = (y + i) * s->stride - s->top;
        int first = s->columns, last = s->columns; /* what lies between them is inside of the image */
#ifdef DSP
        int dy;
        if (row >= 0 && row + 3 <= s->height) {
            first = (s->left + s->stride - 1) / s->stride;
            last = (s->width - 3 + s->left) / s->stride + 1;
            for (dy = 0; dy < 3; dy++)
                window_rows(in + (row + dy) * (ptrdiff_t)s->row + (first * s->stride - s->left) * 3, 3 * s->stride,
                            last - first, (word *)(void *)codes + 4 * dy * PIXELS_PITCH + first,
                            codes + (12 + dy / 2) * 2 * PIXELS_PITCH + 2 * first + dy % 2);
        }
#endif
        for (x = 0; x < first; x++) window_pixel(s, in, row, x * s->stride - s->left, codes + 2 * x);
        for (x = last; x < s->columns; x++) window_pixel(s, in, row, x * s->stride - s->left, codes + 2 * x);
    }
}
