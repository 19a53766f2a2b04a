#if defined(__GNUC__)
#define WORDS __attribute__((aligned(4)))
#define ALIAS __attribute__((may_alias))
#define KERNEL static __attribute__((unused))
#define NOINLINE __attribute__((noinline)) /* a frame of stack for each call, and no more */
#else
#define WORDS
#define ALIAS
#define KERNEL static
#define NOINLINE
#endif

typedef int16_t ALIAS half; /* a code in the arena, which is memory of the caller */
typedef uint32_t ALIAS word;

/* How the sums of a layer become codes: the nearest whole number to sum * factor, plus zero, from low to high. */
typedef struct {
    const int32_t *bias; /* with which sums begin */
    const float *factor;
    const uint8_t *table; /* of a hard swish, or 0 */
    int16_t zero, low, high, weight_zero;
} rule;

#ifdef SUMS
/* An image that is added to what a step writes, in the arena: (factor code + from_factor its code + bias) >> shift. */
typedef struct {
    uint32_t from, row, pixel, plane; /* where it is; bytes between its rows, pixels and channels */
    int32_t factor, from_factor, bias;
    uint8_t shift;
    int16_t zero, low, high;
} sum;
#endif

/* A step: it gathers codes for `band` rows of its output and multiplies them. */
typedef struct step step;
typedef struct tiles tiles;
struct step {
    void (*gather)(const step *s, const uint8_t *in, int y, int rows, half *codes);
    void (*tiles)(const tiles *t); /* a kernel for tiles of the product, or 0 */
    uint32_t input, output, codes;            /* where they are in the arena */
    uint16_t height, width, channels;         /* of the input */
    uint16_t rows, columns, outputs;          /* of the output */
    uint32_t row, pixel, plane;               /* bytes between rows, pixels and channels of the input */
    uint32_t out_row, out_plane;              /* and of the output */
    uint16_t run, band, pairs, pitch;         /* pixels side by side; rows; pairs of codes of a pixel; pixels of a pair */
    uint16_t skip, kept;                      /* bytes of code that the kernel for tiles jumps over; rows, 0: all */
    uint8_t kernel, stride, top, left, padding; /* of the window; the code outside of the input */
    const int8_t *taps, *weights;
    rule first, product;
#ifdef SUMS
    const sum *sum;
#endif
#ifdef GATES
    uint32_t gate; /* where the factors of an image are in the arena */
#endif
};
