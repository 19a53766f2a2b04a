/* A gate: factors of channels from their means over all pixels, hard_sigmoid(excite(relu(squeeze(mean)))). */
struct memory {
    float *pooled, *hidden, *excited, *factor, *d_factor, *d_excited, *d_hidden, *d_pooled; /* [image][channels] */
    float *squeeze, *excite;         /* transposed weights with the bias behind them, [depth + 1][channels] */
    float *squeeze_rows, *excite_rows, *d_squeeze, *d_excite; /* weights as torch has them, rows padded */
    float *end;
};

static struct memory memory_of(const struct layer *l, int images) {
    const size_t c = padded(l->channels), s = padded(l->squeezed);
    struct memory m;
    float *free = l->work, **wide[] = {&m.pooled, &m.excited, &m.factor, &m.d_factor, &m.d_excited, &m.d_pooled};
    for (int i = 0; i < 6; i++, free += images * c) *wide[i] = free;
    m.hidden = free, free += images * s;
    m.d_hidden = free, free += images * s;
    m.squeeze = free, free += (c + 1) * s;
    m.excite = free, free += (s + 1) * c;
    float **matrices[] = {&m.squeeze_rows, &m.excite_rows, &m.d_squeeze, &m.d_excite};
    for (int i = 0; i < 4; i++, free += c * s) *matrices[i] = free;
    m.end = free;
    return m;
}

/* Weights [channels][depth] with rows padded, and transposed with the bias behind them. */
static void pack_dense(const float *w, const float *bias, int channels, int depth, float *rows, float *columns) {
    const int pitch = padded(channels), width = padded(depth);
    memset(rows, 0, (size_t)channels * width * sizeof *rows);
    memset(columns, 0, (size_t)(depth + 1) * pitch * sizeof *columns);
    for (int c = 0; c < channels; c++) {
        for (int k = 0; k < depth; k++) rows[c * width + k] = columns[k * pitch + c] = w[c * depth + k];
        columns[depth * pitch + c] = bias[c];
    }
}

static void gate_forward(struct layer *l, int images) {
    const struct memory m = memory_of(l, images);
    const int c = l->channels, s = l->squeezed;
    pack_dense(l->weight, l->beta, s, c, m.squeeze_rows, m.squeeze);
    pack_dense(l->excite, l->excite_bias, c, s, m.excite_rows, m.excite);
    ON(c, gate_pool, l + l->from, images, m.pooled);
    ON(s, dense, m.pooled, images, c, m.squeeze, s, 1, m.hidden);
    for (int i = 0; i < images * padded(s); i++) m.hidden[i] = m.hidden[i] < 0 ? 0 : m.hidden[i];
    ON(c, dense, m.hidden, images, s, m.excite, c, 1, m.excited);
    for (int i = 0; i < images * padded(c); i++) {
        const float x = m.excited[i] + 3;
        m.factor[i] = (x < 0 ? 0 : x > 6 ? 6 : x) * (1 / 6.0f);
    }
}

/* Rows without their padding, and the sums over all images. */
static void unpack_dense(const float *rows, const float *d, int images, int channels, int depth, float *d_w, float *d_bias) {
    for (int c = 0; c < channels; c++) {
        memcpy(d_w + (long)c * depth, rows + (long)c * padded(depth), depth * sizeof *d_w);
        d_bias[c] = 0;
        for (int n = 0; n < images; n++) d_bias[c] += d[n * padded(channels) + c];
    }
}

/* After its reader has added up d_factor: the gradients of its weights and of what it multiplies. */
static void gate_backward(struct layer *l, int images) {
    const struct memory m = memory_of(l, images);
    const int c = l->channels, s = l->squeezed;
    memset(m.d_squeeze, 0, 2 * (size_t)padded(c) * padded(s) * sizeof(float));
    for (int i = 0; i < images * padded(c); i++)
        m.d_excited[i] = m.excited[i] > -3 && m.excited[i] < 3 ? m.d_factor[i] * (1 / 6.0f) : 0;
    ON(s, dense, m.d_excited, images, c, m.excite_rows, s, 0, m.d_hidden);
    for (int i = 0; i < images * padded(s); i++) m.d_hidden[i] = m.hidden[i] > 0 ? m.d_hidden[i] : 0;
    ON(c, dense, m.d_hidden, images, s, m.squeeze_rows, c, 0, m.d_pooled);
    ON(s, outer, m.d_excited, images, c, m.hidden, s, m.d_excite);
    ON(c, outer, m.d_hidden, images, s, m.pooled, c, m.d_squeeze);
    unpack_dense(m.d_squeeze, m.d_hidden, images, s, c, l->d_weight, l->d_beta);
    unpack_dense(m.d_excite, m.d_excited, images, c, s, l->d_excite, l->d_excite_bias);
    ON(c, gate_spread, l + l->from, images, m.factor, m.d_pooled);
}
