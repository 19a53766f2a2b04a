/* What a layer keeps: packed weights, and the numbers of its batch norm. */
#define JOINED_(name, width) name##width
#define JOINED(name, width) JOINED_(name, width)
/* `name` in the vector width that a tensor of so many channels is kept in. */
#define ON(channels, name, ...) \
    (padded(channels) % WIDE ? JOINED(name, NARROW)(__VA_ARGS__) : JOINED(name, WIDE)(__VA_ARGS__))

static long pixels_of(const struct layer *l, int images) { return (long)images * l->out_height * l->out_width; }

static int lanes(int channels) { return padded(channels) % WIDE ? NARROW : WIDE; }

static char *take(char **free, size_t bytes) {
    char *taken = *free;
    *free += (bytes + 63) / 64 * 64;
    return taken;
}

/* Floats of working memory: three blocks of operands and one of products, or a ring of rows. */
size_t scratch_floats(const struct layer *layers, int count) {
    size_t floats = 0;
    for (int i = 0; i < count; i++) {
        const struct layer *l = layers + i;
        const size_t ring = ring_rows(l) * (size_t)ring_pitch(l) * WIDE;
        const size_t widest = most(pitch_of(depth_of(l)), pitch_of(l->out_channels)), blocks = 4 * BLOCK * widest;
        const size_t needed = l->kind == DEPTHWISE ? ring : blocks;
        if (needed > floats) floats = needed;
    }
    return floats;
}

#ifdef PAIRED
static uint32_t bf16(float x) {
    uint32_t word;
    memcpy(&word, &x, sizeof word);
    return (word + 0x7fff + ((word >> 16) & 1)) >> 16;
}
static operand joined(float first, float second) { return bf16(first) | bf16(second) << 16; }
#else
static operand joined(float first, float second) { return (void)second, first; }
#endif

/* A matrix for `product`: pairs of vectors of columns, each pair depth after depth. w[k * down + c * right]. */
static void pack(const float *w, int depth, long down, int channels, long right, operand *to) {
    const int width = lanes(channels), all = padded(channels), rows = padded(depth);
    for (int c = 0; c < all; c += 2 * width) {
        const int columns = all - c < 2 * width ? width : 2 * width;
        for (int k = 0; k < rows; k += PAIR)
            for (int i = c; i < c + columns; i++)
                *to++ = joined(k < depth && i < channels ? w[k * down + i * right] : 0,
                               k + 1 < depth && i < channels ? w[(k + 1) * down + i * right] : 0);
    }
}

static void pack_weights(struct layer *l) {
    const int channels = padded(l->out_channels), depth = depth_of(l);
    if (l->kind == DEPTHWISE) {
        float *packed = (float *)l->packed;
        const int taps = taps_of(l);
        memset(packed, 0, taps * channels * sizeof(float));
        for (int c = 0; c < l->channels; c++)
            for (int k = 0; k < taps; k++) packed[k * channels + c] = l->weight[c * taps + k];
    } else {
        pack(l->weight, depth, 1, l->out_channels, depth, l->packed);
        if (l->kind == POINTWISE) pack(l->weight, l->out_channels, depth, depth, 1, l->transposed);
    }
}

static void unpack_gradient(struct layer *l) {
    const int channels = padded(l->out_channels), rows = rows_of(l);
    for (int c = 0; c < l->out_channels; c++)
        for (int k = 0; k < rows; k++) l->d_weight[c * rows + k] = l->d_packed[k * channels + c];
}

/* What the batch norm makes of the sums; its running statistics move on. */
static void normalise(struct layer *l, long pixels) {
    const int channels = l->out_channels;
    for (int c = 0; c < channels; c++) {
        const double mean = l->sums[c] / pixels, rounded_var = l->squares[c] / pixels - mean * mean;
        const double var = rounded_var < 0 ? 0 : rounded_var, inverse = 1 / sqrt(var + l->epsilon);
        const double unbiased = var * pixels / (pixels > 1 ? pixels - 1 : 1);
        l->running_mean[c] += l->momentum * ((float)mean - l->running_mean[c]);
        l->running_var[c] += l->momentum * ((float)unbiased - l->running_var[c]);
        l->mean[c] = mean;
        l->inverse[c] = inverse;
        l->scale[c] = l->gamma[c] * inverse;
        l->shift[c] = l->beta[c] - mean * l->gamma[c] * inverse;
    }
    for (int c = channels; c < padded(channels); c++) l->mean[c] = l->inverse[c] = l->scale[c] = l->shift[c] = 0;
}

/* The gradients of the batch norm's weights, and how that of its input follows from that of its output. */
static void normalise_backward(struct layer *l, long pixels) {
    for (int c = 0; c < padded(l->out_channels); c++) {
        const double sum = l->sums[c], product = l->squares[c] * l->inverse[c];
        const double slope = -l->scale[c] * product * l->inverse[c] / pixels;
        l->slope[c] = slope;
        l->offset[c] = -l->scale[c] * sum / pixels - slope * l->mean[c];
        if (c < l->out_channels) {
            l->d_beta[c] = sum;
            l->d_gamma[c] = product;
        }
    }
}

static void clear_sums(struct layer *l) {
    memset(l->sums, 0, padded(l->out_channels) * sizeof(double));
    memset(l->squares, 0, padded(l->out_channels) * sizeof(double));
}

/* What the first convolution sees at one place of an image, [H][W][channels]: the columns from..to-1 of three lie in it. */
INLINE void image_window(const struct layer *l, const float *image, int top, int left, int channels, float *restrict row) {
    const int from = left < 0 ? -left : 0, to = l->width - left < 3 ? l->width - left : 3;
    for (int k = 0; k < padded(9 * channels); k++) row[k] = 0;
    for (int y = 0; y < 3; y++) {
        if (top + y < 0 || top + y >= l->height) continue;
        const float *pixels = image + ((long)(top + y) * l->width + left) * channels;
        if (from == 0 && to == 3)
            for (int i = 0; i < 3 * channels; i++) row[y * 3 * channels + i] = pixels[i];
        else
            for (int i = from * channels; i < to * channels; i++) row[y * 3 * channels + i] = pixels[i];
    }
}

/* rows[p][(ky, kx, channel)]: all that it sees at output pixels first..first+count-1 of x, [N][H][W][channels]. */
static void image_rows(const struct layer *l, const float *x, long first, int count, float *restrict rows) {
    const int area = l->out_height * l->out_width, depth = padded(9 * l->channels);
    const float *image = x + first / area * l->height * l->width * l->channels;
    int row = first % area / l->out_width, column = first % l->out_width;
    for (int p = 0; p < count; p++, rows += depth) {
        const int top = row * l->stride - l->top, left = column * l->stride - l->left;
        if (l->channels == 3) image_window(l, image, top, left, 3, rows);
        else image_window(l, image, top, left, l->channels, rows);
        if (++column < l->out_width) continue;
        column = 0;
        if (++row < l->out_height) continue;
        row = 0;
        image += (long)l->height * l->width * l->channels;
    }
}

