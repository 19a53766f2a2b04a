/* The windows of 3x3 pixels of three channels: row by row of the window. */
KERNEL void window_pixel(const step *s, const uint8_t *in, int row, int column, half *codes, int pixel) {
    int k;
    for (k = 0; k < 27; k++) {
        const int y = row + k / 9, x = column + k % 9 / 3;
        const int inside = y >= 0 && y < s->height && x >= 0 && x < s->width;
        put(s, codes, pixel, k, inside ? in[y * (ptrdiff_t)s->row + x * 3 + k % 3] : s->padding);
    }
}

KERNEL void gather_image(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int i, x;
    for (i = 0; i < rows; i++) {
        const int row = (y + i) * s->stride - s->top;
        int first = s->columns, last = s->columns; /* what lies between them is inside of the image */
#ifdef HELIUM
        /* sixteen bytes of which nine are of the row; what is wrong is written anew by the next row or pixel */
        if (row >= 0 && row + 3 <= s->height) {
            const int depth = 2 * s->pairs;
            const uint8_t *from;
            uint8_t *to;
            first = (s->left + s->stride - 1) / s->stride;
            last = (s->width - 6 + s->left) / s->stride + 1; /* sixteen bytes are not behind the end of the image */
            from = in + row * (ptrdiff_t)s->row + (first * s->stride - s->left) * 3;
            to = (uint8_t *)(void *)codes + (i * s->columns + first) * depth;
            for (x = 0; x < first; x++) window_pixel(s, in, row, x * s->stride - s->left, codes, i * s->columns + x);
            for (x = first; x < last; x++, from += 3 * s->stride, to += depth) {
                const uint8x16_t flip = vdupq_n_u8(0x80);
                vstrbq_u8(to, veorq_u8(vldrbq_u8(from), flip));
                vstrbq_u8(to + 9, veorq_u8(vldrbq_u8(from + s->row), flip));
                vstrbq_u8(to + 18, veorq_u8(vldrbq_u8(from + 2 * s->row), flip));
            }
            first = 0;
        }
#endif
        for (x = 0; x < first; x++) window_pixel(s, in, row, x * s->stride - s->left, codes, i * s->columns + x);
        for (x = last; x < s->columns; x++) window_pixel(s, in, row, x * s->stride - s->left, codes, i * s->columns + x);
    }
}
