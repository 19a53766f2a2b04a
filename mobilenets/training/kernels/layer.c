/* Training kernels: convolution, batch norm and activation as one layer; a residual sum is a layer of its own.
 *
 * Of each layer only the raw output of the convolution is kept. Whoever reads it normalises and activates it on the way;
 * whoever writes it adds up the sums that its batch norm needs. Backward alike: what is kept is the gradient at the
 * batch norm's output, and the layer below turns it into that of the convolution as it reads it.
 * Images lie as [channels / width][image][row][column][width]: `width` channels are one vector, padded with zeros. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define BLOCK 64    /* pixels that a pointwise convolution works on together */
#define ROWS NARROW /* of them (or of the weights' rows) whose sums are in registers at a time: it divides BLOCK */

#ifdef BF16
typedef uint16_t stored;
#else
typedef float stored;
#endif

#if defined BF16 && (defined __AVX512BF16__ || defined __ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
#define PAIRED
#define PAIR 2 /* numbers in an operand of a matrix product */
typedef uint32_t operand __attribute__((may_alias));
#ifdef __AVX512BF16__
#include <immintrin.h>
#define DOT8(sum, a, b) (vec8)_mm256_dpbf16_ps((__m256)(sum), (__m256bh)(a), (__m256bh)(b))
#define DOT16(sum, a, b) (vec16)_mm512_dpbf16_ps((__m512)(sum), (__m512bh)(a), (__m512bh)(b))
#else
#include <arm_neon.h>
#define DOT4(sum, a, b) (vec4)vbfdotq_f32((float32x4_t)(sum), (bfloat16x8_t)(a), (bfloat16x8_t)(b))
#endif
#else
#define PAIR 1
typedef float operand;
#endif

enum { IMAGE, DEPTHWISE, POINTWISE, SUM, GATE }; /* IMAGE: the first convolution, 3x3 */

/* An activation: the number between low and limit, which may be infinite; or with `hard` the hard swish. */
struct bend {
    float low, limit;
    int32_t hard;
};

struct layer {
    /* set by fused.py */
    int32_t kind, kernel, stride, top, left; /* padding pixels above and on the left */
    int32_t height, width, channels, out_height, out_width, out_channels;
    int32_t from;       /* distance to the layer whose output it takes */
    int32_t into;       /* to the one whose gradient its own gives: of a sum, the convolution of which it is the sum */
    int32_t other;      /* to the other layer that a sum takes */
    int32_t accumulate; /* whether that gradient already holds that of a sum which takes the same output */
    int32_t gate;       /* distance to the gate that multiplies what it takes; 0: none */
    int32_t squeezed;   /* of a gate: channels between its two layers */
    int32_t slot;       /* of its gradient: 0 or 1; 2 between blocks with sums */
    struct bend bend;
    float epsilon, momentum; /* momentum: of the running statistics */
    const float *weight, *gamma, *beta; /* weight: [out][3][3][in] of IMAGE, else as torch has it */
    float *running_mean, *running_var, *d_weight, *d_gamma, *d_beta;
    const float *excite, *excite_bias; /* of a gate, whose first layer has weight and beta */
    float *d_excite, *d_excite_bias;
    /* set by `place` */
    stored *y, *gradient;                               /* output of the convolution; gradient of the batch norm's */
    operand *packed, *transposed; /* weights as `pack` leaves them; depthwise ones as floats, [taps][channels] */
    float *d_packed;              /* their gradient, [depth][channels] */
    float *mean, *inverse, *scale, *shift;              /* a channel each: 1 / deviation; output = scale * y + shift */
    float *slope, *offset;                              /* gradient of y = scale * gradient + slope * y + offset */
    double *sums, *squares;
    float *work; /* of a gate, see gates.c */
};

static int rounded(int n, int to) { return (n + to - 1) / to * to; }
static int padded(int channels) { return rounded(channels, NARROW); }
static int pitch_of(int channels) { return padded(channels) + 16; } /* no power of two: the cache has few places for those */
static int most(int a, int b) { return a > b ? a : b; }
static int taps_of(const struct layer *l) { return l->kernel * l->kernel; }
static int depth_of(const struct layer *l) { return l->kind == IMAGE ? 9 * l->channels : l->channels; }
/* Rows of the matrix that its weights are. */
static int rows_of(const struct layer *l) { return l->kind == DEPTHWISE ? taps_of(l) : depth_of(l); }
/* Rows of a depthwise convolution's ring, a power of two. */
static int ring_rows(const struct layer *l) { return l->kernel == 5 ? 8 : 4; }

/* Pixels of a row in a depthwise convolution's ring, forward and backward, with the zeros beside them. */
static int ring_pitch(const struct layer *l) {
    const int forward = most(l->left + l->width, (l->out_width - 1) * l->stride + l->kernel);
    return most(forward, most(l->out_width, (l->width - 1 + l->left) / l->stride + 1) + l->kernel - 1);
}
