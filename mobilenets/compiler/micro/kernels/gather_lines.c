#ifdef DSP
/* What the kernels read, in the order of the registers of the assembly in dsp.py. */
typedef struct {
    uint32_t pitch;                          /* bytes of a line */
    uint32_t outer[3], middle[3];            /* weights: left and right of each row; the middle of rows 0 and 1, of 2 */
    float factor;
    half *to, *below;                        /* the last two codes of a row, and of the one below it */
    const uint8_t *end;                      /* in front of the first window of the row */
    uint32_t high;
    const uint8_t *from;                     /* the last window of the row */
    uint32_t step, back, count, bias;        /* bytes to the next line, and to its codes; lines */
} lines;

/* Copy `count` rows of bytes, padded with zeros to whole words, to lines of `pitch` bytes. */
static inline void copy(uint8_t *to, const uint8_t *from, int count, int pitch, const step *s) {
    const int words = s->width / 4, aligned = (((uintptr_t)from | s->row) & 3) == 0;
    const word rest = ((word)1 << (s->width % 4 * 8)) - 1;
    for (; count > 0; count--, to += pitch, from += s->row) {
        word *b = (word *)(void *)to;
        const anyword *a = (const anyword *)(const void *)from;
        int k = words;
        if (aligned)
            for (; k >= 4; k -= 4)
                __asm__ volatile("ldmia %1!, {r4-r6, r8}\n\tstmia %0!, {r4-r6, r8}"
                                 : "+r"(b), "+r"(a)
                                 :
                                 : "r4", "r5", "r6", "r8", "memory");
        for (; k > 0; k--) {
            *b++ = *a++;
            __asm__ volatile("" : "+r"(k)); /* no call of memcpy */
        }
        if (rest) *b = *a & rest;
    }
}

KERNEL void lines_1(const lines *l);
KERNEL void lines_2(const lines *l);

/* A 3x3 depthwise convolution of codes whose padding is 0. The rows that a channel's windows touch are copied between
 * columns of zeros; windows are computed from the right to the left, two at a time: the code behind an odd row's end
 * is written before the one that belongs there. With stride 1 two rows are computed together. */
KERNEL void gather_lines(const step *s, const uint8_t *in, int y, int rows, half *codes) {
    const int pitch = (s->width + 3) / 4 * 4 + 8, stride = s->stride, last = (s->columns - 1) / 2 * 2;
    const int count = (rows - 1) * stride + 3, first = y * stride - s->top;
    const int begin = first < 0 ? -first : 0, end = first + count > s->height ? s->height - first : count;
    const word zero = (word)(s->first.weight_zero & 0xffff) * 0x10001u;
    uint8_t *buffer = (uint8_t *)(codes + 2 * s->pairs * (s->pitch + 2) + 12);
    int c, i;
    lines l;
    for (i = 0; i < count * pitch / 4; i++) ((word *)(void *)buffer)[i] = 0;
    l.pitch = (uint32_t)pitch, l.high = (uint32_t)s->first.high;
    l.step = (uint32_t)pitch * 2;
    l.back = (uint32_t)((last + 2 + (stride == 1 ? 2 : 1) * s->columns) * 4);
    for (c = 0; c < s->channels; c++) {
        const anyword *w = (const anyword *)(const void *)(s->taps + 9 * c);
        half *to = codes + c / 2 * 2 * s->pitch + c % 2;
        copy(buffer + begin * pitch + 4, in + (first + begin) * (ptrdiff_t)s->row + c * (ptrdiff_t)s->plane,
             end - begin, pitch, s);
        for (i = 0; i < 3; i++) {
            const anyword *three = (const anyword *)(const void *)((const uint8_t *)w + 3 * i);
            l.outer[i] = subtract16(widen16(*three), zero), l.middle[i] = subtract16(widen16_odd(*three), zero);
        }
        l.middle[0] = pack16(l.middle[0], l.middle[1]), l.middle[1] = l.middle[2];
        l.factor = s->first.factor[c], l.bias = (uint32_t)s->first.bias[c];
        l.end = buffer + 4 - s->left - 2 * stride, l.from = l.end + (last + 2) * stride;
        l.to = to + 2 * last, l.below = l.to + 2 * s->columns;
        if (stride == 2) {
            l.count = (uint32_t)rows;
            lines_2(&l);
            continue;
        }
        l.count = (uint32_t)(rows == 1 ? 1 : rows / 2); /* there is room for a second row */
        lines_1(&l);
        if (rows % 2 == 0 || rows == 1) continue;
        l.end += (rows - 2) * pitch, l.from += (rows - 2) * pitch;
        l.to += (rows - 2) * 2 * s->columns, l.below += (rows - 2) * 2 * s->columns;
        l.count = 1;
        lines_1(&l);
    }
}
#endif
