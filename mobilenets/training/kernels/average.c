/* Global average pooling of the activated last layer, and its gradient: out and d are [image][channels]. */
static void pool_forward@(const struct layer *l, int images, float *restrict out) {
    const int area = l->out_height * l->out_width, channels = l->out_channels;
    for (int c = 0; c < padded(channels); c += @) {
        const vec@ scale = load@(l->scale + c), shift = load@(l->shift + c);
        const stored *y = l->y + (long)c * images * area;
        for (int n = 0; n < images; n++) {
            vec@ sum = {0};
            for (int p = 0; p < area; p++, y += @) sum += active@(scale * read@(y) + shift, l->bend);
            sum /= (float)area;
            for (int i = 0; i < @ && c + i < channels; i++) out[(long)n * channels + c + i] = sum[i];
        }
    }
}

static void pool_backward@(struct layer *l, int images, const float *restrict d) {
    const int area = l->out_height * l->out_width, channels = l->out_channels;
    for (int c = 0; c < padded(channels); c += @) {
        const vec@ scale = load@(l->scale + c), shift = load@(l->shift + c), mean = load@(l->mean + c);
        vec@ sum = {0}, products = {0};
        for (int n = 0; n < images; n++) {
            vec@ share = {0};
            for (int i = 0; i < @ && c + i < channels; i++) share[i] = d[(long)n * channels + c + i] / area;
            const long start = ((long)c * images + (long)n * @) * area;
            for (int p = 0; p < area; p++) {
                const vec@ y = read@(l->y + start + p * @), g = passed@(share, scale * y + shift, l->bend);
                sum += g;
                products += g * (y - mean);
                write@(l->gradient + start + p * @, g);
            }
        }
        add_sums@(l->sums + c, sum);
        add_sums@(l->squares + c, products);
    }
}

/* A residual sum of the linear convolution before it and an earlier output; its consumers need no batch norm of it. */
static void sum_forward@(struct layer *l, long pixels) {
    const struct layer *a = l + l->from, *b = l + l->other;
    for (int c = 0; c < padded(l->out_channels); c += @) {
        const vec@ scale_a = load@(a->scale + c), shift_a = load@(a->shift + c), one = 1 - (vec@){0}, none = {0};
        const vec@ scale_b = load@(b->scale + c), shift_b = load@(b->shift + c);
        const long end = (c + @) * pixels;
        for (long i = c * pixels; i < end; i += @)
            write@(l->y + i, scale_a * read@(a->y + i) + shift_a + active@(scale_b * read@(b->y + i) + shift_b, b->bend));
        store@(l->scale + c, one);
        store@(l->shift + c, none);
    }
}
