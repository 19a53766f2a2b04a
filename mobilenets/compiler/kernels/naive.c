/* The oracles of the kernels beside this file: the same in plain loops over plain arrays, summed in double. Nothing of
 * this is emitted. An image is [height][width][channels], a kernel [channels][depth][3][3] as PyTorch lays it out; `top`
 * and `left` are the pixels of padding there, what lies outside the image is 0. */
#include <math.h>
#include <stdint.h>

/* ReLU (limit 0), or ReLU6 (limit 6), or neither (limit < 0). */
static float activated(double x, float limit) {
    if (limit >= 0.0f && x < 0.0) return 0.0f;
    return limit > 0.0f && x > (double)limit ? limit : (float)x;
}

/* in, with a pixel `value` all round. */
void naive_image(const uint8_t *in, int height, int width, int channels, const float *value, float *out) {
    for (int y = -1; y <= height; y++)
        for (int x = -1; x <= width; x++)
            for (int c = 0; c < channels; c++) {
                const int inside = y >= 0 && y < height && x >= 0 && x < width;
                *out++ = inside ? (float)in[(y * width + x) * channels + c] : value[c];
            }
}

void naive_conv(const float *in, int height, int width, int depth, const float *w, const float *bias, int stride,
                int top, int left, float limit, float *out, int out_height, int out_width, int channels) {
    for (int y = 0; y < out_height; y++)
        for (int x = 0; x < out_width; x++)
            for (int n = 0; n < channels; n++) {
                double sum = (double)bias[n];
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++) {
                        const int v = y * stride + i - top, u = x * stride + j - left;
                        if (v < 0 || v >= height || u < 0 || u >= width) continue;
                        for (int k = 0; k < depth; k++)
                            sum += (double)in[(v * width + u) * depth + k] * (double)w[((n * depth + k) * 3 + i) * 3 + j];
                    }
                out[(y * out_width + x) * channels + n] = activated(sum, limit);
            }
}

/* w: [channels][3][3]. */
void naive_depthwise(const float *in, int height, int width, int channels, const float *w, const float *bias,
                     int stride, int top, int left, float limit, float *out, int out_height, int out_width) {
    for (int y = 0; y < out_height; y++)
        for (int x = 0; x < out_width; x++)
            for (int c = 0; c < channels; c++) {
                double sum = (double)bias[c];
                for (int i = 0; i < 3; i++)
                    for (int j = 0; j < 3; j++) {
                        const int v = y * stride + i - top, u = x * stride + j - left;
                        if (v >= 0 && v < height && u >= 0 && u < width)
                            sum += (double)in[(v * width + u) * channels + c] * (double)w[(c * 3 + i) * 3 + j];
                    }
                out[(y * out_width + x) * channels + c] = activated(sum, limit);
            }
}

/* in: [pixels][depth], w: [channels][depth]. The classifier is this for one pixel without an activation. */
void naive_pointwise(const float *in, int pixels, int depth, const float *w, const float *bias, float limit, float *out,
                     int channels) {
    for (int p = 0; p < pixels; p++)
        for (int n = 0; n < channels; n++) {
            double sum = (double)bias[n];
            for (int k = 0; k < depth; k++) sum += (double)in[p * depth + k] * (double)w[n * depth + k];
            out[p * channels + n] = activated(sum, limit);
        }
}

void naive_pool(const float *in, int pixels, int channels, float *out) {
    for (int c = 0; c < channels; c++) {
        double sum = 0.0;
        for (int p = 0; p < pixels; p++) sum += (double)in[p * channels + c];
        out[c] = (float)(sum / pixels);
    }
}

/* out: the logits, then their softmax. */
void naive_softmax(const float *in, int classes, float *out) {
    double largest = (double)in[0], total = 0.0;
    for (int i = 1; i < classes; i++) largest = fmax(largest, (double)in[i]);
    for (int i = 0; i < classes; i++) total += exp((double)in[i] - largest);
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = (float)(exp((double)in[i] - largest) / total);
    }
}

/* out: the logits, then the sigmoid of each. */
void naive_sigmoid(const float *in, int classes, float *out) {
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = (float)(1.0 / (1.0 + exp(-(double)in[i])));
    }
}

/* out: the sums, then the same with length 1. */
void naive_l2_normalise(const float *in, int classes, float *out) {
    double total = 0.0;
    for (int i = 0; i < classes; i++) total += (double)in[i] * (double)in[i];
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = total == 0.0 ? 0.0f : (float)((double)in[i] / sqrt(total));
    }
}
