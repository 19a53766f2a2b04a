/* Depthwise 3x3 convolutions, one plane ([height][width] pixels of @ channels) at a time. Rows of the operand are
 * normalised into a ring of four, with columns of zeros beside them: no tap asks where the image ends. */

INLINE vec@ convolved@(const float *const *rows, const vec@ *w) {
    vec@ sum = {0};
    UNROLL for (int y = 0; y < 3; y++)
        UNROLL for (int x = 0; x < 3; x++) sum += w[y * 3 + x] * load@(rows[y] + x * @);
    return sum;
}

/* Row `row` of a plane of the layer below, activated; zeros where there is none. */
static void activated_row@(const struct layer *from, const stored *plane, int c, int row, float *restrict out) {
    const int width = from->out_width;
    if (row < 0 || row >= from->out_height) {
        memset(out, 0, width * @ * sizeof *out);
        return;
    }
    const vec@ scale = load@(from->scale + c), shift = load@(from->shift + c);
    const stored *y = plane + (long)row * width * @;
    for (int x = 0; x < width; x++) store@(out + x * @, active@(scale * read@(y + x * @) + shift, from->limit));
}

static void depthwise_plane@(struct layer *l, const struct layer *below, const stored *in, stored *out, int c,
                             float *restrict ring) {
    const int pitch = ring_pitch(l) * @, stride = l->stride;
    vec@ w[9], sum = {0}, squares = {0};
    for (int k = 0; k < 9; k++) w[k] = load@((const float *)l->packed + k * padded(l->channels) + c);
    for (int y = 0, ready = 0; y < l->out_height; y++) {
        for (; ready < y * stride + 3; ready++)
            activated_row@(below, in, c, ready - l->top, ring + (ready & 3) * pitch + l->left * @);
        const float *rows[3];
        for (int k = 0; k < 3; k++) rows[k] = ring + ((y * stride + k) & 3) * pitch;
        for (int x = 0; x < l->out_width; x++) {
            const vec@ v = convolved@(rows, w);
            sum += v;
            squares += v * v;
            write@(out, v);
            out += @;
            for (int k = 0; k < 3; k++) rows[k] += stride * @;
        }
    }
    add_sums@(l->sums + c, sum);
    add_sums@(l->squares + c, squares);
}

static void depthwise_forward@(struct layer *l, const struct layer *below, int images, float *restrict ring) {
    const long in = (long)l->height * l->width * @, out = (long)l->out_height * l->out_width * @;
    memset(ring, 0, 4L * ring_pitch(l) * @ * sizeof *ring);
    for (int c = 0; c < padded(l->channels); c += @)
        for (int n = 0; n < images; n++) {
            const long plane = (long)c / @ * images + n;
            depthwise_plane@(l, below, below->y + plane * in, l->y + plane * out, c, ring);
        }
}

/* Row `row` of the gradient of this layer's convolution; zeros where there is none. */
static void gradient_row@(const struct layer *l, long plane, int c, int row, float *restrict out) {
    const int width = l->out_width;
    if (row < 0 || row >= l->out_height) {
        memset(out, 0, width * @ * sizeof *out);
        return;
    }
    const long start = plane + (long)row * width * @;
    const vec@ a = load@(l->scale + c), b = load@(l->slope + c), d = load@(l->offset + c);
    for (int x = 0; x < width; x++)
        store@(out + x * @, a * read@(l->gradient + start + x * @) + (b * read@(l->y + start + x * @) + d));
}

/* What one input pixel (value a) gets back through the taps first_y, first_y + stride, ... and first_x, ...; each tap's
 * share of the weights' gradient is added to w_sum. rows[i]: the output row of the i-th of these taps. */
INLINE vec@ returned@(int stride, int first_y, int first_x, const float *const *rows, long x, const vec@ *w, vec@ a,
                      vec@ *w_sum) {
    vec@ sum = {0};
    UNROLL for (int ky = first_y; ky < 3; ky += stride)
        UNROLL for (int kx = first_x; kx < 3; kx += stride) {
            const vec@ d = load@(rows[ky / stride] + (x - kx / stride) * @);
            sum += w[ky * 3 + kx] * d;
            w_sum[ky * 3 + kx] += a * d;
        }
    return sum;
}

INLINE void returned_row@(int stride, int first_y, const struct layer *l, struct layer *below, long at, int c,
                          const float *const *rows, const vec@ *w, vec@ *w_sum, vec@ *sums) {
    const vec@ scale = load@(below->scale + c), shift = load@(below->shift + c), mean = load@(below->mean + c);
    const float limit = below->limit;
    for (int x = 0; x < l->width; x++) {
        const vec@ y = read@(below->y + at + x * @), z = scale * y + shift, a = active@(z, limit);
        const int q = x + l->left;
        vec@ g;
        if (stride == 1) g = returned@(1, first_y, 0, rows, q, w, a, w_sum);
        else if (q & 1) g = returned@(2, first_y, 1, rows, q / 2, w, a, w_sum);
        else g = returned@(2, first_y, 0, rows, q / 2, w, a, w_sum);
        g = passed@(g, z, limit);
        sums[0] += g;
        sums[1] += g * (y - mean);
        write@(below->gradient + at + x * @, g);
    }
}

static void depthwise_plane_backward@(struct layer *l, struct layer *below, long in, long out, int c,
                                      float *restrict ring) {
    const int pitch = ring_pitch(l) * @, channels = padded(l->channels), stride = l->stride;
    vec@ w[9], w_sum[9] = {0}, sums[2] = {0};
    for (int k = 0; k < 9; k++) w[k] = load@((const float *)l->packed + k * channels + c);
    for (int y = 0, ready = -2; y < l->height; y++) {
        const int q = y + l->top, last = q / stride; /* the output rows last, last - 1, (last - 2) took from this one */
        for (; ready <= last; ready++) gradient_row@(l, out, c, ready, ring + (ready & 3) * pitch + 2 * @);
        const float *rows[3];
        for (int k = 0; k < 3; k++) rows[k] = ring + ((last - k) & 3) * pitch + 2 * @;
        const long at = in + (long)y * l->width * @;
        if (stride == 1) returned_row@(1, 0, l, below, at, c, rows, w, w_sum, sums);
        else if (q & 1) returned_row@(2, 1, l, below, at, c, rows, w, w_sum, sums);
        else returned_row@(2, 0, l, below, at, c, rows, w, w_sum, sums);
    }
    for (int k = 0; k < 9; k++)
        store@(l->d_packed + k * channels + c, load@(l->d_packed + k * channels + c) + w_sum[k]);
    add_sums@(below->sums + c, sums[0]);
    add_sums@(below->squares + c, sums[1]);
}

static void depthwise_backward@(struct layer *l, struct layer *below, int images, float *restrict ring) {
    const long in = (long)l->height * l->width * @, out = (long)l->out_height * l->out_width * @;
    memset(ring, 0, 4L * ring_pitch(l) * @ * sizeof *ring);
    for (int c = 0; c < padded(l->channels); c += @)
        for (int n = 0; n < images; n++) {
            const long plane = (long)c / @ * images + n;
            depthwise_plane_backward@(l, below, plane * in, plane * out, c, ring);
        }
}
