#ifdef HELIUM
/* Copy n bytes, or fill with zeros. */
static inline void copy(uint8_t *to, const uint8_t *from, int n) {
    for (; n > 0; n -= 16, to += 16) {
        const mve_pred16_t p = vctp8q((uint32_t)n);
        vstrbq_p_u8(to, from ? vldrbq_z_u8(from, p) : vdupq_n_u8(0), p);
        if (from) from += 16;
    }
}

/* What the assembly reads, in the order of its registers: see helium.py. */
typedef struct {
    const uint8_t *from; /* the first window */
    uint8_t *to;
    int32_t line, pixel;             /* bytes between rows and columns of the input */
    const void *table;               /* nine weights, bias, factor, limit, 0x80: four of each */
    int32_t unused, tiles, depth;    /* tiles of a row; bytes between columns of codes */
    int32_t step, next, to_next;     /* bytes to the next window, and to the next row */
    int32_t rows;
} channels;

KERNEL void channels_3_1(const channels *c);
KERNEL void channels_4_1(const channels *c);
KERNEL void channels_3_2(const channels *c);
KERNEL void channels_4_2(const channels *c);

/* A 3x3 depthwise convolution of codes whose padding is 0. The rows that the windows touch are copied between columns
 * of zeros. Codes behind the end of a row are written before those that belong there. */
KERNEL void gather_channels(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const int count = s->channels, depth = 2 * s->pairs, stride = s->stride;
    const int wide = s->columns % 4 && s->columns % 3 == 0 ? 3 : 4;
    const int line = ((s->columns + wide - 1) / wide * wide * stride + 2) * count;
    uint8_t *const buffer = (uint8_t *)(void *)codes + (s->pitch + 3) * depth;
    uint32_t table[13][4];
    channels t;
    const int32_t zero = s->first.weight_zero;
    int c, i;
    for (i = 0; i < (rows - 1) * stride + 3; i++) {
        const int row = y * stride - s->top + i, used = s->width * count;
        uint8_t *to = buffer + i * line;
        const int inside = row >= 0 && row < s->height, before = s->left * count;
        copy(to, 0, before);
        copy(to + before, inside ? in + row * (ptrdiff_t)s->row : 0, used < line - before ? used : line - before);
        copy(to + before + used, 0, line - before - used);
    }
    t.line = line, t.pixel = count, t.table = table, t.rows = rows, t.depth = depth;
    t.tiles = (s->columns + wide - 1) / wide, t.step = wide * stride * count;
    t.next = stride * line - t.tiles * t.step, t.to_next = (s->columns - t.tiles * wide) * depth;
    for (c = 0; c < count; c += 4) {
        const int first = c + 4 <= count ? c : count - 4;
        for (i = 0; i < 9; i++) vstrwq_f32((float *)table[i], vcvtq_f32_s32(vsubq_n_s32(vldrbq_s32(s->taps + i * count + first), zero)));
        vstrwq_s32((int32_t *)table[9], vldrwq_s32(s->first.bias + first));
        vstrwq_f32((float *)table[10], vldrwq_f32(s->first.factor + first));
        vstrwq_u32(table[11], vdupq_n_u32((uint32_t)s->first.high));
        vstrwq_u32(table[12], vdupq_n_u32(0x80));
        t.from = buffer + first, t.to = (uint8_t *)(void *)codes + first;
        if (wide == 4) (stride == 1 ? channels_4_1 : channels_4_2)(&t);
        else (stride == 1 ? channels_3_1 : channels_3_2)(&t);
    }
}
#endif
