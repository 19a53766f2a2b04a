/* All layers, forward and backward, on one thread. */
static size_t bytes_of(const struct layer *l, int images) {
    return l->kind == GATE ? 0 : pixels_of(l, images) * padded(l->out_channels) * sizeof(stored);
}

/* Bytes of all that the layers keep for so many images; with an arena of that size their pointers are set into it. */
size_t place(struct layer *layers, int count, int images, char *arena) {
    char *free = arena, *gradients[3];
    size_t largest[3] = {0};
    for (int i = 0; i < count; i++) {
        const size_t bytes = bytes_of(layers + i, images);
        if (bytes > largest[layers[i].slot]) largest[layers[i].slot] = bytes;
    }
    for (int i = 0; i < 3; i++) gradients[i] = take(&free, largest[i]);
    for (int i = 0; i < count; i++) {
        struct layer *l = layers + i;
        const size_t channels = padded(l->out_channels), depth = l->kind >= SUM ? 0 : padded(rows_of(l));
        l->gradient = (stored *)gradients[l->slot];
        l->y = (stored *)take(&free, bytes_of(l, images));
        l->packed = (operand *)take(&free, depth * channels * sizeof(float));
        l->transposed = (operand *)take(&free, depth * channels * sizeof(float));
        l->d_packed = (float *)take(&free, depth * channels * sizeof(float));
        float **rows[] = {&l->mean, &l->inverse, &l->scale, &l->shift, &l->slope, &l->offset};
        for (int k = 0; k < 6; k++) *rows[k] = (float *)take(&free, channels * sizeof(float));
        l->sums = (double *)take(&free, channels * sizeof(double));
        l->squares = (double *)take(&free, channels * sizeof(double));
        l->work = (float *)free;
        if (l->kind == GATE) take(&free, (char *)memory_of(l, images).end - free);
    }
    return free - arena;
}

/* The matrix that a pointwise or the first convolution multiplies with its weights; `floats` is to work in. */
static void operand_rows(const struct layer *l, const float *x, int images, long first, int count, float *floats,
                         operand *across, operand *along) {
    const int depth = padded(depth_of(l));
    if (l->kind == IMAGE) {
        image_rows(l, x, first, count, floats);
        ON(depth, plain_rows, floats, depth, count, across, along);
    } else {
        const long pixels = pixels_of(l, images);
        if (l->gate) ON(depth, gated_rows, l + l->from, memory_of(l + l->gate, images).factor, pixels, first, count, across, along);
        else ON(depth, activated_rows, l + l->from, pixels, first, count, across, along);
    }
}

static void convolve(struct layer *l, const float *x, int images, float *scratch) {
    const long pixels = pixels_of(l, images);
    const int pitch = pitch_of(depth_of(l)), depth = padded(depth_of(l)), channels = padded(l->out_channels);
    operand *rows = (operand *)scratch;
    float *out = scratch + BLOCK * pitch;
    for (long first = 0; first < pixels; first += BLOCK) {
        const int count = pixels - first < BLOCK ? pixels - first : BLOCK;
        operand_rows(l, x, images, first, count, out, rows, NULL);
        ON(channels, product, rows, pitch, depth, l->packed, channels, count, out);
        ON(channels, keep_outputs, l, out, pixels, first, count);
    }
}

static void convolve_backward(struct layer *l, const float *x, int images, float *scratch) {
    const long pixels = pixels_of(l, images);
    const int pitch = pitch_of(depth_of(l)), depth = padded(depth_of(l));
    const int out_pitch = pitch_of(l->out_channels), channels = padded(l->out_channels);
    operand *rows = (operand *)scratch, *along = rows + BLOCK * pitch;
    operand *across = PAIR == 1 ? along : along + BLOCK * out_pitch;
    float *out = (float *)(across + BLOCK * out_pitch);
    if (l->gate) memset(memory_of(l + l->gate, images).d_factor, 0, (size_t)images * depth * sizeof(float));
    for (long first = 0; first < pixels; first += BLOCK) {
        const int count = pixels - first < BLOCK ? pixels - first : BLOCK;
        operand_rows(l, x, images, first, count, out, NULL, rows);
        ON(channels, gradient_rows, l, pixels, first, count, across, along);
        ON(channels, weight_gradient, rows, pitch, depth, along, out_pitch, channels, count, l->d_packed);
        if (l->kind == IMAGE) continue; /* nobody asks for the gradient of the image */
        ON(depth, product, across, out_pitch, channels, l->transposed, depth, count, out);
        if (l->gate) ON(depth, keep_gated, l, memory_of(l + l->gate, images).d_factor, out, pixels, first, count);
        else ON(depth, keep_gradients, l, out, pixels, first, count);
    }
}

/* x: [N][H][W][C] -> pooled: [N][channels]. */
void forward(struct layer *layers, int count, int images, const float *x, float *pooled, float *scratch) {
    for (int i = 0; i < count; i++) {
        struct layer *l = layers + i;
        if (l->kind == SUM) ON(l->out_channels, sum_forward, l, pixels_of(l, images));
        if (l->kind == GATE) gate_forward(l, images);
        if (l->kind >= SUM) continue;
        pack_weights(l);
        clear_sums(l);
        if (l->kind == DEPTHWISE) ON(l->channels, depthwise_forward, l, images, scratch);
        else convolve(l, x, images, scratch);
        normalise(l, pixels_of(l, images));
    }
    const struct layer *last = layers + count - 1;
    ON(last->out_channels, pool_forward, last, images, pooled);
}

/* After `forward`: d_pooled -> every d_weight, d_gamma, d_beta. A sum's gradient is that of the convolution before it. */
void backward(struct layer *layers, int count, int images, const float *x, const float *d_pooled, float *scratch) {
    for (int i = 0; i < count; i++) clear_sums(layers + i);
    struct layer *last = layers + count - 1;
    ON(last->out_channels, pool_backward, last, images, d_pooled);
    for (struct layer *l = last; l >= layers; l--) {
        if (l->kind == GATE) gate_backward(l, images);
        if (l->kind >= SUM) continue;
        normalise_backward(l, pixels_of(l, images));
        memset(l->d_packed, 0, (size_t)padded(rows_of(l)) * padded(l->out_channels) * sizeof(float));
        if (l->kind == DEPTHWISE) ON(l->channels, depthwise_backward, l, images, scratch);
        else convolve_backward(l, x, images, scratch);
        unpack_gradient(l);
    }
}
