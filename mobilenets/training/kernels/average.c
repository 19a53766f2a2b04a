/* Global average pooling of the activated last layer, and its gradient: out and d are [image][channels]. */
static void pool_forward@(const struct layer *l, int images, float *restrict out) {
    const int area = l->out_height * l->out_width, channels = l->out_channels;
    for (int c = 0; c < padded(channels); c += @) {
        const vec@ scale = load@(l->scale + c), shift = load@(l->shift + c);
        const stored *y = l->y + (long)c * images * area;
        for (int n = 0; n < images; n++) {
            vec@ sum = {0};
            for (int p = 0; p < area; p++, y += @) sum += active@(scale * read@(y) + shift, l->limit);
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
                const vec@ y = read@(l->y + start + p * @), g = passed@(share, scale * y + shift, l->limit);
                sum += g;
                products += g * (y - mean);
                write@(l->gradient + start + p * @, g);
            }
        }
        add_sums@(l->sums + c, sum);
        add_sums@(l->squares + c, products);
    }
}
