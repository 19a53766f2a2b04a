/* Pointwise convolutions, BLOCK pixels at a time: both operands are laid out as rows of a matrix, normalised on the way. */

/* What the layer below gives at pixels first..first+count-1, its batch norm and activation worked out. */
static void activated_rows@(const struct layer *from, long pixels, long first, int count, operand *across,
                            operand *along) {
    const int pitch = pitch_of(from->out_channels);
    for (int c = 0; c < padded(from->out_channels); c += @) {
        const stored *y = from->y + c * pixels + first * @;
        const vec@ scale = load@(from->scale + c), shift = load@(from->shift + c), none = {0};
        for (int p = 0; p < count; p += 2) {
            const vec@ a = active@(scale * read@(y + p * @) + shift, from->bend);
            const vec@ b = p + 1 < count ? active@(scale * read@(y + (p + 1) * @) + shift, from->bend) : none;
            put@(across, along, pitch, p, c, a, b);
        }
    }
}

INLINE vec@ gradient_at@(const struct layer *l, long at, int c) {
    return load@(l->scale + c) * read@(l->gradient + at) + (load@(l->slope + c) * read@(l->y + at) + load@(l->offset + c));
}

/* The gradient of this layer's convolution, from that of its batch norm's output. */
static void gradient_rows@(const struct layer *l, long pixels, long first, int count, operand *across, operand *along) {
    const int pitch = pitch_of(l->out_channels);
    for (int c = 0; c < padded(l->out_channels); c += @) {
        const long start = c * pixels + first * @;
        const vec@ none = {0};
        for (int p = 0; p < count; p += 2)
            put@(across, along, pitch, p, c, gradient_at@(l, start + p * @, c),
                 p + 1 < count ? gradient_at@(l, start + (p + 1) * @, c) : none);
    }
}

/* Rows of floats, [count][depth], as operands. */
static void plain_rows@(const float *restrict from, int depth, int count, operand *across, operand *along) {
    const vec@ none = {0};
    for (int p = 0; p < count; p += 2)
        for (int c = 0; c < depth; c += @)
            put@(across, along, pitch_of(depth), p, c, load@(from + p * depth + c),
                 p + 1 < count ? load@(from + (p + 1) * depth + c) : none);
}

/* The heart: ROWS x nr vectors of sums in registers. sum[i][j] += a[i * row + k * step] * w[k * pitch + j * @]. */
INLINE void multiply@(vec@ *restrict sum, int nr, const operand *restrict a, long row, long step,
                      const operand *restrict w, long pitch, int depth) {
    for (int k = 0; k < depth; k++) {
        operands@ b[2];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load_operands@(w + k * pitch + j * @);
        UNROLL for (int i = 0; i < ROWS; i++) {
            const operand x = a[i * row + k * step];
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = multiply_add@(sum[i * nr + j], x, b[j]);
        }
    }
}

INLINE void tile@(int nr, const operand *restrict rows, int pitch, int depth, const operand *restrict w, int count,
                  float *restrict out) {
    for (int p = 0; p < count; p += ROWS) {
        vec@ sum[ROWS * 2] = {0};
        multiply@(sum, nr, rows + p * pitch, pitch, 1, w, nr * @, depth);
        UNROLL for (int i = 0; i < ROWS; i++)
            UNROLL for (int j = 0; j < nr; j++) store@(out + (j * BLOCK + p + i) * @, sum[i * nr + j]);
    }
}

/* out[c / @][BLOCK][@] = rows (count x depth) * w (depth x channels), w as `pack` leaves it. */
static void product@(const operand *restrict rows, int pitch, int depth, const operand *restrict w, int channels,
                     int count, float *restrict out) {
    int c = 0;
    depth /= PAIR;
    for (; c + 2 * @ <= channels; c += 2 * @) tile@(2, rows, pitch, depth, w + (long)c * depth, count, out + c * BLOCK);
    if (c < channels) tile@(1, rows, pitch, depth, w + (long)c * depth, count, out + c * BLOCK);
}

INLINE void weight_tile@(int nr, const operand *restrict a, int pitch_a, const operand *restrict d, int pitch_d,
                         int count, float *restrict to, int channels) {
    vec@ sum[ROWS * 2];
    UNROLL for (int i = 0; i < ROWS; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load@(to + i * channels + j * @);
    multiply@(sum, nr, a, 1, pitch_a, d, pitch_d, (count + PAIR - 1) / PAIR);
    UNROLL for (int i = 0; i < ROWS; i++)
        UNROLL for (int j = 0; j < nr; j++) store@(to + i * channels + j * @, sum[i * nr + j]);
}

/* to[k][c] += sum over pixels of a[p][k] * d[p][c]. */
static void weight_gradient@(const operand *restrict a, int pitch_a, int depth, const operand *restrict d, int pitch_d,
                             int channels, int count, float *restrict to) {
    for (int k = 0; k < depth; k += ROWS) {
        int c = 0;
        for (; c + 2 * @ <= channels; c += 2 * @)
            weight_tile@(2, a + k, pitch_a, d + c, pitch_d, count, to + (long)k * channels + c, channels);
        if (c < channels) weight_tile@(1, a + k, pitch_a, d + c, pitch_d, count, to + (long)k * channels + c, channels);
    }
}

/* Keep a block of outputs; their sums and sums of squares go to the batch norm. */
static void keep_outputs@(struct layer *l, const float *restrict out, long pixels, long first, int count) {
    for (int c = 0; c < padded(l->out_channels); c += @) {
        stored *y = l->y + c * pixels + first * @;
        vec@ sum = {0}, squares = {0};
        for (int p = 0; p < count; p++) {
            const vec@ v = load@(out + c * BLOCK + p * @);
            sum += v;
            squares += v * v;
            write@(y + p * @, v);
        }
        add_sums@(l->sums + c, sum);
        add_sums@(l->squares + c, squares);
    }
}

/* Keep a block of gradients for the layer below, at its batch norm's output; with the sums that this will need. */
static void keep_gradients@(const struct layer *l, const float *restrict out, long pixels, long first, int count) {
    const struct layer *into = l + l->into;
    for (int c = 0; c < padded(l->channels); c += @) {
        const long start = c * pixels + first * @;
        const vec@ scale = load@(into->scale + c), shift = load@(into->shift + c), mean = load@(into->mean + c);
        vec@ sum = {0}, products = {0};
        for (int p = 0; p < count; p++) {
            const vec@ y = read@(into->y + start + p * @);
            vec@ g = load@(out + c * BLOCK + p * @);
            if (l->accumulate) g += read@(into->gradient + start + p * @);
            g = passed@(g, scale * y + shift, into->bend);
            sum += g;
            products += g * (y - mean);
            write@(into->gradient + start + p * @, g);
        }
        add_sums@(into->sums + c, sum);
        add_sums@(into->squares + c, products);
    }
}
