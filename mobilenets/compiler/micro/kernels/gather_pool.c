/* The mean of each channel, as codes [pairs][pitch][2]. */
KERNEL void gather_pool(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    int c, i, x;
    (void)y;
    (void)rows;
    for (c = 0; c < s->channels; c++) {
        uint32_t sum = (uint32_t)s->first.bias[0];
        for (i = 0; i < s->height; i++)
            for (x = 0; x < s->width; x++)
                sum += in[c * (ptrdiff_t)s->plane + i * (ptrdiff_t)s->row + x];
        codes[c / 2 * 2 * s->pitch + c % 2] = (half)code(sum, s->first.factor[0], &s->first);
    }
}
