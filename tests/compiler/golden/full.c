/* full: written by mobilenets for avx2 in fp32; see the header. */
#include "mobilenets_full.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX 9
#define NR_MAX 2
#define DW_MAX 1

static const float image_border[] = {128.0f}; /* what normalisation makes zero */

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

/* Vectors of 8 floats, by the extension that GCC and Clang share: one source for every instruction set. */
typedef float vec8 __attribute__((vector_size(8 * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits8 __attribute__((vector_size(8 * sizeof(float))));

INLINE vec8 load8(const float *p) { return *(const vec8 *)p; }
INLINE void store8(float *p, vec8 v) { *(vec8 *)p = v; }
INLINE vec8 splat8(float x) { return x - (vec8){0}; }

/* ReLU (limit 0), or ReLU6 (limit 6), or neither (limit < 0). */
INLINE vec8 activate8(vec8 v, float limit) {
    if (limit < 0) return v;
    v = (vec8)((bits8)v & (v > 0));
    if (limit > 0) {
        const bits8 below = v < limit;
        v = (vec8)(((bits8)v & below) | ((bits8)splat8(limit) & ~below));
    }
    return v;
}

/* The heart of every convolution: mr pixels x nr vectors of channels, all sums in registers.
 * sum[i][j] += a[i * pixel + k] * w[k][j] for k < count. Everything but the pointers is a constant once inlined. */
INLINE void multiply8(vec8 *restrict sum, int mr, int nr, const float *restrict a, int pixel, const float *restrict w,
                      int count) {
    for (int k = 0; k < count; k++) {
        vec8 b[NR_MAX];
        UNROLL for (int j = 0; j < nr; j++) b[j] = load8(w + (k * nr + j) * 8);
        UNROLL for (int i = 0; i < mr; i++) {
            const float x = a[i * pixel + k];
            UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] += x * b[j];
        }
    }
}

INLINE void begin8(vec8 *restrict sum, int mr, int nr, const float *restrict bias) {
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) sum[i * nr + j] = load8(bias + j * 8);
}

/* A full 3x3 convolution: rows first..last-1 of the output, from the bordered image in, into the bordered image out.
 * w: panels of nr vectors, each [3][3][depth][nr * 8]; `pixel` floats lie between two pixels of the input; out_width
 * is at least mr. */
INLINE void conv_tile8(int mr, int nr, const float *restrict in, int row, int pixel, int depth, int stride,
                       const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                       int channels) {
    vec8 sum[MR_MAX * NR_MAX];
    begin8(sum, mr, nr, bias);
    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            multiply8(sum, mr, nr, in + y * row + x * pixel, stride * pixel, w + (y * 3 + x) * depth * nr * 8, depth);
    UNROLL for (int i = 0; i < mr; i++)
        UNROLL for (int j = 0; j < nr; j++) store8(out + i * channels + j * 8, activate8(sum[i * nr + j], limit));
}

INLINE void conv8(int mr, int nr, const float *restrict in, int width, int pixel, int depth, int stride, int down,
                  int right, const float *restrict w, const float *restrict bias, float limit, float *restrict out,
                  int out_width, int channels, int first, int last) {
    const int row = (width + 2) * pixel;
    for (int y = first; y < last; y++) {
        const float *from = in + (y * stride + down) * row + right * pixel;
        float *to = out + ((y + 1) * (out_width + 2) + 1) * channels;
        for (int n = 0; n < channels; n += nr * 8) {
            const float *panel = w + n * 9 * depth;
            for (int x = 0; x + mr <= out_width; x += mr)
                conv_tile8(mr, nr, from + x * stride * pixel, row, pixel, depth, stride, panel, bias + n, limit,
                           to + x * channels + n, channels);
            if (out_width % mr) /* some pixels again */
                conv_tile8(mr, nr, from + (out_width - mr) * stride * pixel, row, pixel, depth, stride, panel, bias + n,
                           limit, to + (out_width - mr) * channels + n, channels);
        }
    }
}

/* The pixels of rows first..last-1 of a bordered image, of `pixel` bytes, one after the other without the border. */
INLINE void rows(const void *restrict in, int width, int pixel, void *restrict out, int first, int last) {
    for (int y = first; y < last; y++)
        __builtin_memcpy((unsigned char *)out + (y - first) * width * pixel,
                         (const unsigned char *)in + ((y + 1) * (width + 2) + 1) * pixel, (size_t)(width * pixel));
}

/* A pointwise convolution as a matrix product: pixels first..last-1 of a (rows of `depth` floats, `pixel` apart), times
 * w (panels of nr vectors, each [depth][nr * 8]), plus bias, activated, into the bordered image out. */
INLINE void pointwise_tile8(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                            const float *restrict bias, float limit, float *restrict out, int width, int channels,
                            int first) {
    vec8 sum[MR_MAX * NR_MAX];
    begin8(sum, mr, nr, bias);
    multiply8(sum, mr, nr, a, pixel, w, depth);
    UNROLL for (int i = 0; i < mr; i++) {
        const int at = first + i;
        float *restrict to = out + ((at / width + 1) * (width + 2) + at % width + 1) * channels;
        UNROLL for (int j = 0; j < nr; j++) store8(to + j * 8, activate8(sum[i * nr + j], limit));
    }
}

INLINE void pointwise8(int mr, int nr, const float *restrict a, int pixel, int depth, const float *restrict w,
                       const float *restrict bias, float limit, float *restrict out, int width, int channels, int first,
                       int last) {
    const int whole = last - (last - first) % mr, overlapping = whole < last && first < whole;
    for (int n = 0; n < channels; n += nr * 8) {
        for (int p = first; p < whole; p += mr)
            pointwise_tile8(mr, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
                            width, channels, p);
        if (overlapping) /* some pixels again */
            pointwise_tile8(mr, nr, a + (last - mr - first) * pixel, pixel, depth, w + n * depth, bias + n, limit,
                            out + n, width, channels, last - mr);
        else
            for (int p = whole; p < last; p++)
                pointwise_tile8(1, nr, a + (p - first) * pixel, pixel, depth, w + n * depth, bias + n, limit, out + n,
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

/* Vectors of 4 floats, by the extension that GCC and Clang share: one source for every instruction set. */
typedef float vec4 __attribute__((vector_size(4 * sizeof(float)), aligned(4), may_alias));
typedef int32_t bits4 __attribute__((vector_size(4 * sizeof(float))));

INLINE vec4 load4(const float *p) { return *(const vec4 *)p; }
INLINE void store4(float *p, vec4 v) { *(vec4 *)p = v; }
INLINE vec4 splat4(float x) { return x - (vec4){0}; }

/* ReLU (limit 0), or ReLU6 (limit 6), or neither (limit < 0). */
INLINE vec4 activate4(vec4 v, float limit) {
    if (limit < 0) return v;
    v = (vec4)((bits4)v & (v > 0));
    if (limit > 0) {
        const bits4 below = v < limit;
        v = (vec4)(((bits4)v & below) | ((bits4)splat4(limit) & ~below));
    }
    return v;
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

/* image: 32x33x1 bytes */
static void image_0(int part, int parts,
    const uint8_t *restrict in, float *restrict out) {
    const int first = 32 * part / parts, last = 32 * (part + 1) / parts;
    border(out, 32, 33, 4, image_border, first, last);
    image(in, 33, 1, out, first, last);
}

/* conv: 32x33x1 -> 16x17x8 */
static void conv_1(int part, int parts,
    const float *restrict in, float *restrict out, const float *restrict w, const float *restrict bias) {
    const int first = 16 * part / parts, last = 16 * (part + 1) / parts;
    border(out, 16, 17, 32, NULL, first, last);
    conv8(9, 1, in, 33, 1, 1, 2, 0, 0, w, bias, 0, out, 17, 8, first, last);
}

/* conv: 16x17x8 -> 8x9x10 */
static void conv_2(int part, int parts,
    const float *restrict in, float *restrict out, const float *restrict w, const float *restrict bias) {
    const int first = 8 * part / parts, last = 8 * (part + 1) / parts;
    border(out, 8, 9, 64, NULL, first, last);
    conv8(3, 2, in, 17, 8, 8, 2, 0, 0, w, bias, 0, out, 9, 16, first, last);
}

/* pointwise: 8x9x10 -> 8x9x16 */
static void pointwise_3(int part, int parts,
    const float *restrict in, float *restrict out, void *restrict scratch, const float *restrict w, const float *restrict bias) {
    const int first = 8 * part / parts, last = 8 * (part + 1) / parts;
    border(out, 8, 9, 64, NULL, first, last);
    for (int y = first; y < last; y += 8) {
        const int end = y + 8 < last ? y + 8 : last;
        rows(in, 9, 64, scratch, y, end);
        pointwise8(6, 2, scratch, 16, 10, w, bias, 0, out, 9, 16, y * 9, end * 9);
    }
}

/* pool: 8x9x16 -> 1x1x16 */
static void pool_4(int part, int parts,
    const float *restrict in, float *restrict out) {
    (void)parts;
    if (part == 0) pool(in, 8, 9, 16, out);
}

/* fully_connected: 1x1x16 -> 1x1x2 */
static void fully_connected_5(int part, int parts,
    const float *restrict in, float *restrict out, const float *restrict w, const float *restrict bias) {
    const int first = 1 * part / parts, last = 1 * (part + 1) / parts;
    fully_connected4(1, in, 16, w, bias, out, first * 4, last * 4);
}

/* softmax: 1x1x2 -> 1x1x2 */
static void softmax_6(int part, int parts,
    const float *restrict in, float *restrict out) {
    (void)parts;
    if (part == 0) softmax(in, 2, out);
}

#define AT(bytes) ((void *)((unsigned char *)arena + (bytes)))
#define WEIGHTS(bytes) ((const void *)((const unsigned char *)weights + (bytes)))

void mobilenets_full_step(int step, int part, int parts,
    const void *weights, const uint8_t *pixels, float *output, void *arena) {
    switch (step) {
    case 0: /* image */
        image_0(part, parts, pixels, AT(0));
        break;
    case 1: /* conv0 */
        conv_1(part, parts, AT(0), AT(7744), WEIGHTS(0), WEIGHTS(320));
        break;
    case 2: /* conv1 */
        conv_2(part, parts, AT(7744), AT(0), WEIGHTS(384), WEIGHTS(4992));
        break;
    case 3: /* head */
        pointwise_3(part, parts, AT(0), AT(11648), AT(part ? 18688 + (size_t)(part - 1) * 4608 : 7040), WEIGHTS(5056),
                WEIGHTS(5696));
        break;
    case 4: /* pool */
        pool_4(part, parts, AT(11648), AT(0));
        break;
    case 5: /* fc */
        fully_connected_5(part, parts, AT(0), AT(18624), WEIGHTS(5760), WEIGHTS(6016));
        break;
    case 6: /* softmax */
        softmax_6(part, parts, AT(18624), output);
        break;
    default: break;
    }
}

void mobilenets_full_run(const void *weights, const uint8_t *pixels, float *output, void *arena) {
    for (int step = 0; step < 7; step++) mobilenets_full_step(step, 0, 1, weights, pixels, output, arena);
}
