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
static inline void four_pairs(const uint8_t *from, word *to) {
    const word left = *(const anyword *)(const void *)from, right = *(const anyword *)(const void *)(from + 4);
    to[0] = codes16(left), to[PIXELS_PITCH] = codes16_odd(left);
    to[2 * PIXELS_PITCH] = codes16(right), to[3 * PIXELS_PITCH] = codes16_odd(right);
}
#endif

KERNEL void gather_pixels(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int i, x;
    for (i = 0; i < rows; i++) {
        const int row = (y + i) * s->stride - s->top;
        for (x = 0; x < s->columns; x++, codes += 2) {
            const int column = x * s->stride - s->left;
#ifdef DSP
            if (row >= 0 && row + 3 <= s->height && column >= 0 && column + 3 <= s->width) {
                const uint8_t *from = in + row * (ptrdiff_t)s->row + column * 3;
                const uint8_t *second = from + s->row, *third = second + s->row;
                word *to = (word *)(void *)codes;
                four_pairs(from, to);
                four_pairs(second, to + 4 * PIXELS_PITCH);
                four_pairs(third, to + 8 * PIXELS_PITCH);
                to[12 * PIXELS_PITCH] = from[8] | (word)second[8] << 16;
                to[13 * PIXELS_PITCH] = third[8];
                continue;
            }
#endif
            window_pixel(s, in, row, column, codes);
        }
    }
}
