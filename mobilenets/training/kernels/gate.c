/* Squeeze-and-excite gates: what depends on the pixels, and products of small matrices. A factor is one number for each
 * channel of each image, [image][channels]. */

/* The mean over all pixels of what `from` gives. */
static void gate_pool@(const struct layer *from, int images, float *restrict out) {
    const int area = from->out_height * from->out_width, pitch = padded(from->out_channels);
    for (int c = 0; c < pitch; c += @) {
        const vec@ scale = load@(from->scale + c), shift = load@(from->shift + c);
        const stored *y = from->y + (long)c * images * area;
        for (int n = 0; n < images; n++) {
            vec@ sum = {0};
            for (int p = 0; p < area; p++, y += @) sum += active@(scale * read@(y) + shift, from->bend);
            store@(out + (long)n * pitch + c, sum / (float)area);
        }
    }
}

/* As activated_rows, times the factors of the images in which the pixels lie. */
static void gated_rows@(const struct layer *from, const float *factor, long pixels, long first, int count,
                        operand *across, operand *along) {
    const int area = from->out_height * from->out_width, channels = padded(from->out_channels);
    for (int c = 0; c < channels; c += @) {
        const stored *y = from->y + c * pixels + first * @;
        const vec@ scale = load@(from->scale + c), shift = load@(from->shift + c);
        for (int p = 0; p < count; p += 2) {
            vec@ v[2] = {0};
            for (int i = 0; i < 2 && p + i < count; i++) {
                const vec@ f = load@(factor + (first + p + i) / area * channels + c);
                v[i] = f * active@(scale * read@(y + (p + i) * @) + shift, from->bend);
            }
            put@(across, along, pitch_of(from->out_channels), p, c, v[0], v[1]);
        }
    }
}

/* Keep a block of gradients of gated outputs as they are, and add up those of the factors. */
static void keep_gated@(const struct layer *l, float *restrict d_factor, const float *restrict out, long pixels,
                        long first, int count) {
    const struct layer *into = l + l->into;
    const int area = into->out_height * into->out_width, channels = padded(l->channels);
    for (int c = 0; c < channels; c += @) {
        const long start = c * pixels + first * @;
        const vec@ scale = load@(into->scale + c), shift = load@(into->shift + c);
        for (int p = 0; p < count; p++) {
            const vec@ g = load@(out + c * BLOCK + p * @);
            float *d = d_factor + (first + p) / area * channels + c;
            store@(d, load@(d) + g * active@(scale * read@(into->y + start + p * @) + shift, into->bend));
            write@(into->gradient + start + p * @, g);
        }
    }
}

/* The gradient at the batch norm's output of `into`, from that of its gated output and that of its mean. */
static void gate_spread@(struct layer *into, int images, const float *factor, const float *d_pooled) {
    const int area = into->out_height * into->out_width, channels = padded(into->out_channels);
    for (int c = 0; c < channels; c += @) {
        const vec@ scale = load@(into->scale + c), shift = load@(into->shift + c), mean = load@(into->mean + c);
        vec@ sum = {0}, products = {0};
        long at = (long)c * images * area;
        for (int n = 0; n < images; n++) {
            const vec@ f = load@(factor + (long)n * channels + c);
            const vec@ share = load@(d_pooled + (long)n * channels + c) / (float)area;
            for (int p = 0; p < area; p++, at += @) {
                const vec@ y = read@(into->y + at);
                const vec@ g = passed@(f * read@(into->gradient + at) + share, scale * y + shift, into->bend);
                sum += g;
                products += g * (y - mean);
                write@(into->gradient + at, g);
            }
        }
        add_sums@(into->sums + c, sum);
        add_sums@(into->squares + c, products);
    }
}

/* to[n][channels] = x[n][depth] * w[depth][channels], and where `bias` the row of w behind these. */
static void dense@(const float *x, int images, int depth, const float *w, int channels, int bias, float *restrict to) {
    const int pitch = padded(channels), pitch_x = padded(depth);
    for (int n = 0; n < images; n++)
        for (int c = 0; c < pitch; c += @) {
            vec@ sum = {0};
            if (bias) sum = load@(w + (long)depth * pitch + c);
            for (int k = 0; k < depth; k++) sum += x[n * pitch_x + k] * load@(w + (long)k * pitch + c);
            store@(to + (long)n * pitch + c, sum);
        }
}

/* to[row][channels] += d[n][row] * x[n][channels], over all images n. */
static void outer@(const float *d, int images, int rows, const float *x, int channels, float *restrict to) {
    const int pitch = padded(channels), pitch_d = padded(rows);
    for (int n = 0; n < images; n++)
        for (int row = 0; row < rows; row++)
            for (int c = 0; c < pitch; c += @) {
                float *sum = to + (long)row * pitch + c;
                store@(sum, load@(sum) + d[n * pitch_d + row] * load@(x + (long)n * pitch + c));
            }
}
