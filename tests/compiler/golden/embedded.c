/* embedded: written by mobilenets for portable in fp32; see the header. */
#include "mobilenets_embedded.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX 16
#define NR_MAX 1
#define DW_MAX 8

static const float image_border[] = {128.0f, 128.0f, 128.0f}; /* what normalisation makes zero */

/* The border of rows first..last-1 of a bordered image: the pixel `value`, of `pixel` bytes, left and right, and above or
 * below it; zeros where it is NULL. Bytes, so that one function serves every type. */
INLINE void border(void *restrict out, int height, int width, int pixel, const void *restrict value, int first,
                   int last) {
    const unsigned char *restrict from = value;
    if (first == last) return; /* another part has the row above or below */
    for (int y = first == 0 ? -1 : first; y < (last == height ? height + 1 : last); y++) {
        unsigned char *restrict to = (unsigned char *)out + (y + 1) * (width + 2) * pixel;
        const int step = y < 0 || y == height ? 1 : width + 1;
        for (int x = 0; x < width + 2; x += step)
            for (int i = 0; i < pixel; i++) to[x * pixel + i] = from ? from[i] : 0;
    }
}

/* The image: rows first..last-1 of bytes [height][width][channels] into the bordered image of floats. Normalisation is
 * in the first convolution's weights, so the border is the pixel that is normalised to zero. */
INLINE void image(const uint8_t *restrict in, int width, int channels, float *restrict out, int first, int last) {
    for (int y = first; y < last; y++) {
        const uint8_t *restrict from = in + y * width * channels;
        float *restrict to = out + ((y + 1) * (width + 2) + 1) * channels;
        for (int i = 0; i < width * channels; i++) to[i] = (float)from[i];
    }
}

/* Vectors of 4 floats, by the extension that GCC and Clang share: one source for every instruction set. */
typedef float vec4 __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits4 __attribute__((vector_size(4 * sizeof(float))));

INLINE vec4 load4(const float *p) { return *(const vec4 *)p; }
INLINE void store4(float *p, vec4 v) { *(vec4 *)p = v; }
INLINE vec4 splat4(float x) { return x - (vec4){0}; }

/* ReLU (limit 0), ReLU6 (limit 6), hard swish (limit -2), hard sigmoid (limit -3), or none of them (limit -1). */
#if defined(__SSE2__)
#include <immintrin.h>
#endif
INLINE vec4 clamp4(vec4 v, float most) {
#if 4 == 16 && defined(__AVX512F__)
    v = (vec4)_mm512_max_ps((__m512)v, _mm512_setzero_ps());
    if (most > 0) v = (vec4)_mm512_min_ps((__m512)v, _mm512_set1_ps(most));
    return v;
#elif 4 == 8 && defined(__AVX__)
    v = (vec4)_mm256_max_ps((__m256)v, _mm256_setzero_ps());
    if (most > 0) v = (vec4)_mm256_min_ps((__m256)v, _mm256_set1_ps(most));
    return v;
#elif 4 == 4 && defined(__SSE2__)
    v = (vec4)_mm_max_ps((__m128)v, _mm_setzero_ps());
    if (most > 0) v = (vec4)_mm_min_ps((__m128)v, _mm_set1_ps(most));
    return v;
#else
    v = (vec4)((bits4)v & (v > 0));
    if (most <= 0) return v;
    const bits4 below = v < most;
    return (vec4)(((bits4)v & below) | ((bits4)splat4(most) & ~below));
#endif
}

INLINE vec4 activate4(vec4 v, float limit) {
    if (limit == -1) return v;
    if (limit >= 0) return clamp4(v, limit);
    const vec4 gate = clamp4(v * (1.0f / 6.0f) + 0.5f, 1.0f);
    if (limit == -2) return v * gate;
    return gate;
}

/* The heart of every convolution: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined. */
INLINE void multiply4(vec4 *restrict sum, int mr, int nr, const float *restrict a, int pixel, const float *restrict w,
                      int count) {
    for (int k = 0; k < count; k++) {
        vec4 b[NR_MAX];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load4(w + (k * nr + j) * 4);
        UNROLL for (int i = 0; i < mr; i++) {
            const float x = a[i * pixel + k];
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] += x * b[j];
        }
    }
}

INLINE void begin4(vec4 *restrict sum, int mr, int nr, const float *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load4(bias + j * 4);
}

/* A full 3x3 convolution: rows first..last-1 of the output, from the bordered image in, into the bordered image out.
 * w: panels of nr vectors, each [3][3][depth][nr * 4]; `pixel` floats lie between two pixels of the input; out_width
 * is at least mr. */
INLINE void conv_tile4(int mr, int nr, const float *restrict in, int row, int pixel, int depth, int stride,
                       const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int channels) {
    vec4 sum[MR_MAX * NR_MAX];
    begin4(sum, mr, nr, bias);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            multiply4(sum, mr, nr, in + y * row + x * pixel, stride * pixel, w + (y * 3 + x) * depth * nr * 4, depth);
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) store4(out + i * channels + j * 4, activate4(sum[i * nr + j], limit));
}

INLINE void conv4(int mr, int nr, const float *restrict in, int width, int pixel, int depth, int stride, int down,
                  int right, const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                  int out_width, int channels, int first, int last) {
    const int row = (width + 2) * pixel;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * pixel;
        float *to = out + ((y + 1) * (out_width + 2) + 1) * channels;
        for (int n = 0; n < channels; n += nr * 4) {
            const float *panel = w + n * 9 * depth;
            for (int x = 0; x + mr <= out_width; x += mr)
                conv_tile4(mr, nr, from + x * stride * pixel, row, pixel, depth, stride, panel, bias + n, limit,
                           to + x * channels + n, channels);
            if (out_width % mr) /* some pixels again */
                conv_tile4(mr, nr, from + (out_width - mr) * stride * pixel, row, pixel, depth, stride, panel, bias + n,
                           limit, to + (out_width - mr) * channels + n, channels);
        }
    }
}

/* A depthwise 3x3 convolution: rows first..last-1 of the output, from the bordered image in ([height + 2][width + 2]
 * pixels of `channels` floats) to `out`, pixels one after the other without a border. `down` and `right` skip what the
 * border has too much where the padding has no pixel above or on the left. mr pixels x nr vectors of channels at a time:
 * as many sums as hide the latency of a multiplication, and whole cache lines. */
INLINE void depthwise_tile4(int mr, int nr, const float *restrict in, int row, int channels, int stride,
                            const float *restrict w, const float *restrict bias, float limit, float *restrict out) {
    vec4 sum[DW_MAX];
    begin4(sum, mr, nr, bias);
    UNROLL for (int y = 0; y < 3; y++)
        UNROLL for (int x = 0; x < 3; x++) {
            vec4 weight[2];
            UNROLL for (int j = 0; j < nr; j++) weight[j] = load4(w + (y * 3 + x) * channels + j * 4);
            UNROLL for (int i = 0; i < mr; i++)
                UNROLL for (int j = 0; j < nr; j++)
                    sum[i * nr + j] += weight[j] * load4(in + y * row + (i * stride + x) * channels + j * 4);
        }
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) store4(out + i * channels + j * 4, activate4(sum[i * nr + j], limit));
}

/* out_width is at least mr, and channels are a multiple of nr * 4. The last tile of a row may overlap the one before. */
INLINE void depthwise4(int mr, int nr, const float *restrict in, int width, int channels, int stride, int down,
                       int right, const float *restrict w, const float *restrict bias, float limit,
                       float *restrict out, int out_width, int first, int last) {
    const int row = (width + 2) * channels;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * channels;
        for (int c = 0; c < channels; c += nr * 4)
            for (int x = 0; x < out_width; x += mr) {
                const int at = x + mr <= out_width ? x : out_width - mr;
                depthwise_tile4(mr, nr, from + at * stride * channels + c, row, channels, stride, w + c, bias + c, limit,
                                out + at * channels + c);
            }
        out += out_width * channels;
    }
}

/* A pointwise convolution as a matrix product: pixels first..last-1 of a (rows of `depth` floats, `pixel` apart), times
 * w (panels of nr vectors, each [depth][nr * 4]), plus bias, activated, into the bordered image out. */
INLINE void pointwise_tile4(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                            const float *restrict bias, float limit, float *restrict out, int width, int channels,
                            int first) {
    vec4 sum[MR_MAX * NR_MAX];
    begin4(sum, mr, nr, bias);
    multiply4(sum, mr, nr, a, pixel, w, depth);
    UNROLL for (int i = 0; i < mr; i++) {
        const int at = first + i;
        float *restrict to = out + ((at / width + 1) * (width + 2) + at % width + 1) * channels;
        UNROLL for (int j = 0; j < nr; j++) store4(to + j * 4, activate4(sum[i * nr + j], limit));
    }
}

INLINE void pointwise4(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                       const float *restrict bias, float limit, float *restrict out, int width, int channels, int first,
                       int last) {
    const int whole = last - (last - first) % mr, overlapping = whole < last && first < whole;
    for (int n = 0; n < channels; n += nr * 4) {
        for (int p = first; p < whole; p += mr)
            pointwise_tile4(mr, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
                            width, channels, p);
        if (overlapping) /* some pixels again */
            pointwise_tile4(mr, nr, a + (last - mr - first) * pixel, pixel, depth, w + n * depth, bias + n, limit,
                            out + n, width, channels, last - mr);
        else
            for (int p = whole; p < last; p++)
                pointwise_tile4(1, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
                                width, channels, p);
    }
}

/* The mean over all pixels of a bordered image. */
INLINE void pool(const float *restrict in, int height, int width, int channels, float *restrict out) {
    for (int c = 0; c < channels; c++) out[c] = 0.0f;
    for (int y = 1; y <= height; y++)
        for (int x = 1; x <= width; x++)
            for (int c = 0; c < channels; c++) out[c] += in[(y * (width + 2) + x) * channels + c];
    for (int c = 0; c < channels; c++) out[c] *= 1.0f / (float)(height * width);
}

/* The classifier: outputs first..last-1, multiples of nr * 4. w: panels of nr vectors, each [depth][nr * 4]. */
INLINE void fully_connected4(int nr, const float *restrict in, int depth, const float *restrict w,
                             const float *restrict bias, float *restrict out, int first, int last) {
    for (int n = first; n < last; n += nr * 4) {
        vec4 sum[NR_MAX];
        begin4(sum, 1, nr, bias + n);
        multiply4(sum, 1, nr, in, 0, w + n * depth, depth);
        UNROLL for (int j = 0; j < nr; j++) store4(out + n + j * 4, sum[j]);
    }
}

/* exp(x) for x <= 0, within 1e-6 of its value (0 where that is below the smallest normal float); of no number, no number.
 * x = n ln 2 + r, |r| <= ln 2 / 2: 2^n is put together from its bits, exp(r) is a polynomial. */
INLINE float exponential(float x) {
    if (!(x > -87.33f)) return x < 0.0f ? 0.0f : x;
    const int n = (int)(x * 1.44269504f - 0.5f);
    const float r = (x - (float)n * 0.693145752f) - (float)n * 1.42860677e-6f; /* ln 2 in two parts */
    const union {
        uint32_t bits;
        float value;
    } power = {(uint32_t)(n + 127) << 23};
    const float r2 = r * r;
    const float low = 1.0f + r + r2 * (0.5f + r * 0.16666667f);
    return power.value * (low + r2 * r2 * (0.041666668f + r * (0.0083333338f + r * 0.0013888889f)));
}

/* output: the logits, then their softmax. */
INLINE void softmax(const float *restrict in, int classes, float *restrict out) {
    float largest = in[0], total = 0.0f;
    for (int i = 1; i < classes; i++) largest = in[i] > largest ? in[i] : largest;
    for (int i = 0; i < classes; i++) {
        out[i] = in[i];
        out[classes + i] = exponential(in[i] - largest);
        total += out[classes + i];
    }
    for (int i = 0; i < classes; i++) out[classes + i] /= total;
}

/* image: 32x32x3 bytes */
static void image_0(int part, int parts,
    const uint8_t *restrict in, float *restrict out) {
    const int first = 32 * part / parts, last = 32 * (part + 1) / parts;
    border(out, 32, 32, 12, image_border, first, last);
    image(in, 32, 3, out, first, last);
}

/* conv: 32x32x3 -> 16x16x2 */
static void conv_1(int part, int parts,
    const float *restrict in, float *restrict out, const float *restrict w, const float *restrict bias) {
    const int first = 16 * part / parts, last = 16 * (part + 1) / parts;
    border(out, 16, 16, 16, NULL, first, last);
    conv4(16, 1, in, 32, 3, 3, 2, 1, 1, w, bias, 6, out, 16, 4, first, last);
}

/* separable: 16x16x2 -> 8x8x4 */
static void separable_2(int part, int parts,
    const float *restrict in, float *restrict out, void *restrict scratch, const float *restrict dw, const float *restrict dw_bias, const float *restrict w, const float *restrict bias) {
    const int first = 8 * part / parts, last = 8 * (part + 1) / parts;
    border(out, 8, 8, 16, NULL, first, last);
    for (int y = first; y < last; y += 8) {
        const int end = y + 8 < last ? y + 8 : last;
        depthwise4(8, 1, in, 16, 4, 2, 1, 1, dw, dw_bias, 6, scratch, 8, y, end);
        pointwise4(16, 1, scratch, 4, 2, w, bias, 6, out, 8, 4, y * 8, end * 8);
    }
}

/* pool: 8x8x4 -> 1x1x4 */
static void pool_3(int part, int parts,
    const float *restrict in, float *restrict out) {
    (void)parts;
    if (part == 0) pool(in, 8, 8, 4, out);
}

/* fully_connected: 1x1x4 -> 1x1x2 */
static void fully_connected_4(int part, int parts,
    const float *restrict in, float *restrict out, const float *restrict w, const float *restrict bias) {
    const int first = 1 * part / parts, last = 1 * (part + 1) / parts;
    fully_connected4(1, in, 4, w, bias, out, first * 4, last * 4);
}

/* softmax: 1x1x2 -> 1x1x2 */
static void softmax_5(int part, int parts,
    const float *restrict in, float *restrict out) {
    (void)parts;
    if (part == 0) softmax(in, 2, out);
}

#define ALIGNED __attribute__((aligned(64)))
static const struct {
    float w_0[108] ALIGNED;
    float bias_1[4] ALIGNED;
    float dw_2[36] ALIGNED;
    float dw_bias_3[4] ALIGNED;
    float w_4[8] ALIGNED;
    float bias_5[4] ALIGNED;
    float w_6[16] ALIGNED;
    float bias_7[4] ALIGNED;
} embedded = {
    {
        8.78901873e-03f, 6.10348489e-03f, 0.00000000e+00f, 0.00000000e+00f, -4.39450936e-03f, -4.88278829e-03f, 0.00000000e+00f, 0.00000000e+00f,
        1.46483642e-03f, -0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, 7.32418196e-03f, 4.88278829e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -5.85934566e-03f, -6.10348489e-03f, 0.00000000e+00f, 0.00000000e+00f, -0.00000000e+00f, -1.22069707e-03f, 0.00000000e+00f, 0.00000000e+00f,
        5.85934566e-03f, 3.66209098e-03f, 0.00000000e+00f, 0.00000000e+00f, -7.32418196e-03f, -7.32418196e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -1.46483642e-03f, -2.44139414e-03f, 0.00000000e+00f, 0.00000000e+00f, 4.39450936e-03f, 2.44139414e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -8.78901873e-03f, 7.32418196e-03f, 0.00000000e+00f, 0.00000000e+00f, -2.92967283e-03f, -3.66209098e-03f, 0.00000000e+00f, 0.00000000e+00f,
        2.92967283e-03f, 1.22069707e-03f, 0.00000000e+00f, 0.00000000e+00f, 8.78901873e-03f, 6.10348489e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -4.39450936e-03f, -4.88278829e-03f, 0.00000000e+00f, 0.00000000e+00f, 1.46483642e-03f, -0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f,
        7.32418196e-03f, 4.88278829e-03f, 0.00000000e+00f, 0.00000000e+00f, -5.85934566e-03f, -6.10348489e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -0.00000000e+00f, -1.22069707e-03f, 0.00000000e+00f, 0.00000000e+00f, 5.85934566e-03f, 3.66209098e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -7.32418196e-03f, -7.32418196e-03f, 0.00000000e+00f, 0.00000000e+00f, -1.46483642e-03f, -2.44139414e-03f, 0.00000000e+00f, 0.00000000e+00f,
        4.39450936e-03f, 2.44139414e-03f, 0.00000000e+00f, 0.00000000e+00f, -8.78901873e-03f, 7.32418196e-03f, 0.00000000e+00f, 0.00000000e+00f,
        -2.92967283e-03f, -3.66209098e-03f, 0.00000000e+00f, 0.00000000e+00f, 2.92967283e-03f, 1.22069707e-03f, 0.00000000e+00f, 0.00000000e+00f,
        8.78901873e-03f, 6.10348489e-03f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -2.43749142e+00f, -1.79686916e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        5.62497199e-01f, -2.34373823e-01f, 0.00000000e+00f, 0.00000000e+00f, 4.68747646e-01f, -3.12498450e-01f, 0.00000000e+00f, 0.00000000e+00f,
        3.74998122e-01f, -3.90623033e-01f, 0.00000000e+00f, 0.00000000e+00f, 2.81248599e-01f, -4.68747646e-01f, 0.00000000e+00f, 0.00000000e+00f,
        1.87499061e-01f, 4.68747646e-01f, 0.00000000e+00f, 0.00000000e+00f, 9.37495306e-02f, 3.90623033e-01f, 0.00000000e+00f, 0.00000000e+00f,
        -0.00000000e+00f, 3.12498450e-01f, 0.00000000e+00f, 0.00000000e+00f, -9.37495306e-02f, 2.34373823e-01f, 0.00000000e+00f, 0.00000000e+00f,
        -1.87499061e-01f, 1.56249225e-01f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -1.31249714e+00f, -1.01562309e+00f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        5.62497199e-01f, 3.12498450e-01f, 1.24999374e-01f, -0.00000000e+00f, 4.68747646e-01f, 2.34373823e-01f, 6.24996871e-02f, -4.68747653e-02f,
    },
    {
        -1.31249714e+00f, -1.01562309e+00f, -7.49998748e-01f, -5.15624285e-01f,
    },
    {
        -7.50000000e-01f, -2.50000000e-01f, 0.00000000e+00f, 0.00000000e+00f, -6.25000000e-01f, -1.25000000e-01f, 0.00000000e+00f, 0.00000000e+00f,
        -5.00000000e-01f, 0.00000000e+00f, 0.00000000e+00f, 0.00000000e+00f, -3.75000000e-01f, 1.25000000e-01f, 0.00000000e+00f, 0.00000000e+00f,
    },
    {
        -7.50000000e-01f, -6.25000000e-01f, 0.00000000e+00f, 0.00000000e+00f,
    },
};

#define AT(bytes) ((void *)((unsigned char *)arena + (bytes)))
#define WEIGHTS(bytes) ((const void *)((const unsigned char *)weights + (bytes)))

void mobilenets_embedded_step(int step, int part, int parts,
    const uint8_t *pixels, float *output, void *arena) {
    const void *weights = &embedded;
    __asm__("" : "+r"(weights)); /* hides what it points to: compilers would look into it for a minute */
    switch (step) {
    case 0: /* image */
        image_0(part, parts, pixels, AT(0));
        break;
    case 1: /* conv0 */
        conv_1(part, parts, AT(0), AT(13888), WEIGHTS(0), WEIGHTS(448));
        break;
    case 2: /* dw1 + pw1 */
        separable_2(part, parts, AT(13888), AT(0), AT(part ? 19072 + (size_t)(part - 1) * 1024 : 1600), WEIGHTS(512),
                WEIGHTS(704), WEIGHTS(768), WEIGHTS(832));
        break;
    case 3: /* pool */
        pool_3(part, parts, AT(0), AT(19008));
        break;
    case 4: /* fc */
        fully_connected_4(part, parts, AT(19008), AT(0), WEIGHTS(896), WEIGHTS(960));
        break;
    case 5: /* softmax */
        softmax_5(part, parts, AT(0), output);
        break;
    default: break;
    }
}

void mobilenets_embedded_run(const uint8_t *pixels, float *output, void *arena) {
    for (int step = 0; step < 6; step++) mobilenets_embedded_step(step, 0, 1, pixels, output, arena);
}
