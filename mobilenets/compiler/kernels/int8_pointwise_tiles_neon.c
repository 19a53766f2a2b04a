/* As int8_product4 of one run, of pixels that lie in pairs, [count / 2][depth / 8][2][8]: 2 * pairs pixels x 8
 * channels. w: [depth / 8][8][8]. The weights of the next eight bytes of depth, and behind the last product of a pair
 * its next codes, are loaded between products. */
#define BLOCKS(l, next)                                                                          \
    UNROLL for (int i = 0; i < pairs; i++) {                                                     \
        UNROLL for (int j = 0; j < 4; j++) {                                                     \
            ints4 s = sum[4 * i + j];                                                            \
            ADD_BLOCK(s, x[i], b[l][j]);                                                         \
            sum[4 * i + j] = s;                                                                  \
            if (next && j % pairs == i) LOAD(b[1 - l][j], *(const chars4 *)(v + 64 * l + 16 * j)); \
        }                                                                                        \
        if (weight_zero) ADD_BLOCK(all[i], x[i], ones());                                        \
        if (next) LOAD(x[i], *(const chars4 *)(from + 2 * i * depth + 16 * l));                  \
    }

INLINE void int8_blocks4(int pairs, const code *restrict a, int depth, const int8_t *restrict w, int weight_zero,
                         ints4 *restrict sum, ints4 *restrict all) {
    chars4 x[MR_MAX], b[2][4];
    UNROLL for (int i = 0; i < pairs; i++) LOAD(x[i], *(const chars4 *)(a + 2 * i * depth));
    UNROLL for (int j = 0; j < 4; j++) LOAD(b[0][j], *(const chars4 *)(w + 16 * j));
    const code *restrict from = a + 16;
    const int8_t *restrict v = w + 64;
    int k = 0;
    for (; k + 24 <= depth; k += 16) {
        BLOCKS(0, 1)
        BLOCKS(1, 1)
        from += 32;
        v += 128;
    }
    if (k + 16 <= depth) {
        BLOCKS(0, 1)
        BLOCKS(1, 0)
    } else {
        BLOCKS(0, 0)
    }
}

/* `count` pixels, of which the last pair may have one. */
INLINE void int8_pairs_tile4(int pairs, const code *restrict a, int depth, const int8_t *restrict w, int weight_zero,
                             const int32_t *restrict bias, const float *restrict factor, int zero, int low, int high,
                             uint8_t *restrict out, int channels, int count) {
    typedef int64_t halves __attribute__((vector_size(16), may_alias));
    ints4 sum[2 * MR_MAX], all[MR_MAX], rows[2 * MR_MAX];
    UNROLL for (int j = 0; j < 4; j++) {
        const ints4 begin = {bias[2 * j], bias[2 * j + 1], bias[2 * j], bias[2 * j + 1]};
        UNROLL for (int i = 0; i < pairs; i++) sum[4 * i + j] = begin;
    }
    UNROLL for (int i = 0; i < pairs; i++) all[i] = (ints4){0};
    int8_blocks4(pairs, a, depth, w, weight_zero, sum, all);
    if (weight_zero) UNROLL for (int i = 0; i < 4 * pairs; i++) sum[i] -= weight_zero * all[i / 4];
    UNROLL for (int i = 0; i < pairs; i++)
        UNROLL for (int j = 0; j < 2; j++) {
            const halves p = (halves)sum[4 * i + 2 * j], q = (halves)sum[4 * i + 2 * j + 1];
            rows[4 * i + j] = (ints4)(halves){p[0], q[0]};
            rows[4 * i + 2 + j] = (ints4)(halves){p[1], q[1]};
        }
    if (count < 2) write4(rows, 1, factor, zero, low, high, out, channels);
    else write4(rows, 2 * pairs, factor, zero, low, high, out, channels);
}

/* All channels, multiples of 8, of pixels 0..count-1; mr is even. */
INLINE void int8_pointwise_tiles4(int mr, int nr, const code *restrict a, int depth, int deep, const int8_t *restrict w,
                                  int weight_zero, const int32_t *restrict bias, const float *restrict factor, int zero,
                                  int low, int high, uint8_t *restrict out, int channels, int count) {
    (void)nr, (void)deep;
    for (int n = 0; n < channels; n += 8) {
        int p = 0;
        for (; p + mr <= count; p += mr)
            int8_pairs_tile4(mr / 2, a + p * depth, depth, w + n * depth, weight_zero, bias + n, factor + n, zero, low,
                             high, out + p * channels + n, channels, mr);
        for (; p < count; p += 2)
            int8_pairs_tile4(1, a + p * depth, depth, w + n * depth, weight_zero, bias + n, factor + n, zero, low, high,
                             out + p * channels + n, channels, count - p);
    }
}
