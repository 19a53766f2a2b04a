/* Depthwise convolutions of 3x3 or 5x5 taps, one plane ([height][width] pixels of @ channels) at a time. Rows of the
 * operand are normalised into a ring of four or eight, with columns of zeros beside them: no tap asks where the image
 * ends. */

INLINE vec@ convolved@(int taps, const float *const *rows, const vec@ *w) {
    vec@ sum = {0};
    UNROLL for (int y = 0; y < taps; y++)
        UNROLL for (int x = 0; x < taps; x++) sum += w[y * taps + x] * load@(rows[y] + x * @);
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
    for (int x = 0; x < width; x++) store@(out + x * @, active@(scale * read@(y + x * @) + shift, from->bend));
}

INLINE void depthwise_plane@(int taps, struct layer *l, const struct layer *below, const stored *in, stored *out, int c,
                             float *restrict ring) {
    const int pitch = ring_pitch(l) * @, stride = l->stride, last = ring_rows(l) - 1;
    vec@ w[25], sum = {0}, squares = {0};
    for (int k = 0; k < taps * taps; k++) w[k] = load@((const float *)l->packed + k * padded(l->channels) + c);
    for (int y = 0, ready = 0; y < l->out_height; y++) {
        for (; ready < y * stride + taps; ready++)
            activated_row@(below, in, c, ready - l->top, ring + (ready & last) * pitch + l->left * @);
        const float *rows[5];
        for (int k = 0; k < taps; k++) rows[k] = ring + ((y * stride + k) & last) * pitch;
        for (int x = 0; x < l->out_width; x++) {
            const vec@ v = convolved@(taps, rows, w);
            sum += v;
            squares += v * v;
            write@(out, v);
            out += @;
            for (int k = 0; k < taps; k++) rows[k] += stride * @;
        }
    }
    add_sums@(l->sums + c, sum);
    add_sums@(l->squares + c, squares);
}

static void depthwise_forward@(struct layer *l, int images, float *restrict ring) {
    const struct layer *below = l + l->from;
    const long in = (long)l->height * l->width * @, out = (long)l->out_height * l->out_width * @;
    memset(ring, 0, (long)ring_rows(l) * ring_pitch(l) * @ * sizeof *ring);
    for (int c = 0; c < padded(l->channels); c += @)
        for (int n = 0; n < images; n++) {
            const long plane = (long)c / @ * images + n;
            const stored *from = below->y + plane * in;
            stored *to = l->y + plane * out;
            if (l->kernel == 5) depthwise_plane@(5, l, below, from, to, c, ring);
            else depthwise_plane@(3, l, below, from, to, c, ring);
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
INLINE vec@ returned@(int taps, int stride, int first_y, int first_x, const float *const *rows, long x, const vec@ *w,
                      vec@ a, vec@ *w_sum) {
    vec@ sum = {0};
    UNROLL for (int ky = first_y; ky < taps; ky += stride)
        UNROLL for (int kx = first_x; kx < taps; kx += stride) {
            const vec@ d = load@(rows[ky / stride] + (x - kx / stride) * @);
            sum += w[ky * taps + kx] * d;
            w_sum[ky * taps + kx] += a * d;
        }
    return sum;
}

INLINE void returned_row@(int taps, int stride, int first_y, const struct layer *l, long at, int c,
                          const float *const *rows, const vec@ *w, vec@ *w_sum, vec@ *sums) {
    const struct layer *from = l + l->from, *into = l + l->into;
    const vec@ scale_from = load@(from->scale + c), shift_from = load@(from->shift + c);
    const vec@ scale = load@(into->scale + c), shift = load@(into->shift + c), mean = load@(into->mean + c);
    for (int x = 0; x < l->width; x++) {
        const vec@ a = active@(scale_from * read@(from->y + at + x * @) + shift_from, from->bend);
        const vec@ y = read@(into->y + at + x * @);
        const int q = x + l->left;
        vec@ g;
        if (stride == 1) g = returned@(taps, 1, first_y, 0, rows, q, w, a, w_sum);
        else if (q & 1) g = returned@(taps, 2, first_y, 1, rows, q / 2, w, a, w_sum);
        else g = returned@(taps, 2, first_y, 0, rows, q / 2, w, a, w_sum);
        if (l->accumulate) g += read@(into->gradient + at + x * @);
        g = passed@(g, scale * y + shift, into->bend);
        sums[0] += g;
        sums[1] += g * (y - mean);
        write@(into->gradient + at + x * @, g);
    }
}

INLINE void depthwise_plane_backward@(int taps, const struct layer *l, long in, long out, int c, float *restrict ring) {
    const struct layer *into = l + l->into;
    const int pitch = ring_pitch(l) * @, channels = padded(l->channels), stride = l->stride, end = ring_rows(l) - 1;
    vec@ w[25], w_sum[25] = {0}, sums[2] = {0};
    for (int k = 0; k < taps * taps; k++) w[k] = load@((const float *)l->packed + k * channels + c);
    for (int y = 0, ready = 1 - taps; y < l->height; y++) {
        const int q = y + l->top, last = q / stride; /* the output rows last, last - 1, ... took from this one */
        for (; ready <= last; ready++) gradient_row@(l, out, c, ready, ring + (ready & end) * pitch + (taps - 1) * @);
        const float *rows[5];
        for (int k = 0; k < taps; k++) rows[k] = ring + ((last - k) & end) * pitch + (taps - 1) * @;
        const long at = in + (long)y * l->width * @;
        if (stride == 1) returned_row@(taps, 1, 0, l, at, c, rows, w, w_sum, sums);
        else if (q & 1) returned_row@(taps, 2, 1, l, at, c, rows, w, w_sum, sums);
        else returned_row@(taps, 2, 0, l, at, c, rows, w, w_sum, sums);
    }
    for (int k = 0; k < taps * taps; k++)
        store@(l->d_packed + k * channels + c, load@(l->d_packed + k * channels + c) + w_sum[k]);
    add_sums@(into->sums + c, sums[0]);
    add_sums@(into->squares + c, sums[1]);
}

static void depthwise_backward@(const struct layer *l, int images, float *restrict ring) {
    const long in = (long)l->height * l->width * @, out = (long)l->out_height * l->out_width * @;
    memset(ring, 0, (long)ring_rows(l) * ring_pitch(l) * @ * sizeof *ring);
    for (int c = 0; c < padded(l->channels); c += @)
        for (int n = 0; n < images; n++) {
            const long plane = (long)c / @ * images + n;
            if (l->kernel == 5) depthwise_plane_backward@(5, l, plane * in, plane * out, c, ring);
            else depthwise_plane_backward@(3, l, plane * in, plane * out, c, ring);
        }
}
