/* The mean of each channel. */
KERNEL void gather_pool(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int c, i, x;
    (void)y;
    (void)rows;
    for (c = 0; c < s->channels; c++) {
        uint32_t sum = (uint32_t)s->first.bias[0];
        for (i = 0; i < s->height; i++) {
            const uint8_t *from = in + c * (ptrdiff_t)s->plane + i * (ptrdiff_t)s->row;
            for (x = 0; x < s->width; x++, from += s->pixel) sum += *from;
        }
        put(s, codes, 0, c, code(sum, s->first.factor[0], &s->first));
    }
}
