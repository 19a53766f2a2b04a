/* The heart of every other convolution: `mr` pixels x 8 channels (nr is 2), all sums in registers. What a pixel sees
 * are `runs` runs of codes (the rows of a kernel), `row` apart, each GROUP * groups long; the next pixel's lie `pixel`
 * on. w: [runs][groups][8][GROUP]. A load of a pixel's codes serves STEPS groups; the weights of the next group, and
 * behind the last product of a pixel its next codes, are loaded between products. */
#define GROUP_ELEMENT(l)                                                                                    \
    UNROLL for (int i = 0; i < mr; i++) {                                                                   \
        const int next = l < STEPS - 1 || more;                                                             \
        ints4 s = sum[2 * i], t = sum[2 * i + 1];                                                           \
        ADD_PRODUCT(s, b[l % 2], 0, x[i], l);                                                               \
        if (next && i == 0) LOAD_WEIGHTS(b[1 - l % 2], 0, w + l * 8 * GROUP);                               \
        if (next && i == (mr > 2 ? 2 : 0)) LOAD_WEIGHTS(b[1 - l % 2], 1, w + l * 8 * GROUP);                \
        ADD_PRODUCT(t, b[l % 2], 1, x[i], l);                                                               \
        sum[2 * i] = s;                                                                                     \
        sum[2 * i + 1] = t;                                                                                 \
        if (weight_zero) all[i] = DOT_ELEMENT(all[i], ones(), x[i], l);                                     \
        if (l == STEPS - 1 && more) LOAD(x[i], *(const row4 *)(a + i * pixel));                             \
    }

/* STEPS groups, of which x and b[0] are loaded; a: the next codes; w: the weights from the second group on. */
INLINE void int8_groups4(ints4 *restrict sum, ints4 *restrict all, int mr, row4 *restrict x, row4 (*restrict b)[2],
                         const code *restrict a, int pixel, const int8_t *restrict w, int weight_zero, int more) {
    GROUP_ELEMENT(0)
    GROUP_ELEMENT(1)
    GROUP_ELEMENT(2)
    GROUP_ELEMENT(3)
#if STEPS == 8
    GROUP_ELEMENT(4)
    GROUP_ELEMENT(5)
    GROUP_ELEMENT(6)
    GROUP_ELEMENT(7)
#endif
}

/* The sums of one run. */
INLINE void int8_run4(ints4 *restrict sum, ints4 *restrict all, int mr, const code *restrict a, int pixel, int groups,
                      const int8_t *restrict w, int weight_zero) {
    row4 x[MR_MAX], b[2][2];
    int k = 0;
    if (groups >= STEPS) {
        UNROLL for (int i = 0; i < mr; i++) LOAD(x[i], *(const row4 *)(a + i * pixel));
        LOAD_WEIGHTS(b[0], 0, w);
        LOAD_WEIGHTS(b[0], 1, w);
        for (; k + 2 * STEPS <= groups; k += STEPS)
            int8_groups4(sum, all, mr, x, b, a + (k + STEPS) * GROUP, pixel, w + (k + 1) * 8 * GROUP, weight_zero, 1);
        int8_groups4(sum, all, mr, x, b, a, pixel, w + (k + 1) * 8 * GROUP, weight_zero, 0);
        k += STEPS;
    }
    for (; k < groups; k++) {
        LOAD_WEIGHTS(b[0], 0, w + k * 8 * GROUP);
        LOAD_WEIGHTS(b[0], 1, w + k * 8 * GROUP);
        UNROLL for (int i = 0; i < mr; i++) {
            const __typeof__(spread(a)) one = spread(a + i * pixel + k * GROUP);
            sum[2 * i] = DOT(sum[2 * i], OF_VECTOR(b[0], 0), one);
            sum[2 * i + 1] = DOT(sum[2 * i + 1], OF_VECTOR(b[0], 1), one);
            if (weight_zero) all[i] = DOT(all[i], ones(), one);
        }
    }
}

/* Sums of `mr` pixels as bytes. */
INLINE void write4(const ints4 *sum, int mr, const float *restrict factor, int zero, int low, int high,
                   uint8_t *restrict out, int channels) {
    const reals4 f[2] = {reals_at4(factor), reals_at4(factor + 4)};
    UNROLL for (int i = 0; i < mr; i += 2) {
        const ints4 *next = i + 1 < mr ? sum + 2 * i + 2 : sum + 2 * i; /* what is too much is not written */
        const bytes4 two = narrow4(whole4(sum[2 * i], f[0]), whole4(sum[2 * i + 1], f[1]), whole4(next[0], f[0]),
                                   whole4(next[1], f[1]), zero, low, high);
        __builtin_memcpy(out + i * channels, &two, 8);
        if (i + 1 < mr) __builtin_memcpy(out + (i + 1) * channels, (const uint8_t *)&two + 8, 8);
    }
}

INLINE void int8_tile4(int mr, const code *restrict a, int runs, int row, int pixel, int groups,
                       const int8_t *restrict w, int weight_zero, const int32_t *restrict bias,
                       const float *restrict factor, int zero, int low, int high, uint8_t *restrict out, int channels) {
    ints4 sum[2 * MR_MAX], all[MR_MAX];
    UNROLL for (int i = 0; i < mr; i++) {
        sum[2 * i] = ints_at4(bias);
        sum[2 * i + 1] = ints_at4(bias + 4);
        all[i] = (ints4){0};
    }
    for (int r = 0; r < runs; r++)
        int8_run4(sum, all, mr, a + r * row, pixel, groups, w + r * groups * 8 * GROUP, weight_zero);
    if (weight_zero) UNROLL for (int i = 0; i < 2 * mr; i++) sum[i] -= weight_zero * all[i / 2];
    write4(sum, mr, factor, zero, low, high, out, channels);
}
