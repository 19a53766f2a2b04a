/* separable: a network as C, written by mobilenets for avx512 in fp32.
 * Tested and measured with -O2 -std=c11 -ffp-contract=fast -fno-math-errno -mavx512f -mavx512bw -mavx512dq -mavx512vl
 *   -mfma -mprefer-vector-width=512, by gcc.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]. Of any picture: the centred box of this aspect ratio that covers CROP of it,
 *   resized with the kernel RESIZE and antialiasing. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * output: CLASSES logits, then CLASSES probabilities.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that ALIGNMENT divides.
 * weights: WEIGHTS_BYTES bytes that came with this file, at an address like the arena's.
 */
#ifndef MOBILENETS_SEPARABLE_H
#define MOBILENETS_SEPARABLE_H

#include <stddef.h>
#include <stdint.h>

#define MOBILENETS_SEPARABLE_HEIGHT 48
#define MOBILENETS_SEPARABLE_WIDTH 40
#define MOBILENETS_SEPARABLE_CHANNELS 3 /* red, green, blue */
#define MOBILENETS_SEPARABLE_FIT "crop"
#define MOBILENETS_SEPARABLE_CROP 0.875f
#define MOBILENETS_SEPARABLE_RESIZE "bilinear"
#define MOBILENETS_SEPARABLE_MEAN {128.0f, 128.0f, 128.0f}
#define MOBILENETS_SEPARABLE_STD {64.0f, 64.0f, 64.0f}
#define MOBILENETS_SEPARABLE_CLASSES 3
#define MOBILENETS_SEPARABLE_STEPS 7
#define MOBILENETS_SEPARABLE_WEIGHTS_BYTES 15232
#define MOBILENETS_SEPARABLE_ARENA_BYTES 140544
#define MOBILENETS_SEPARABLE_PARTS_ARENA_BYTES(parts) (140544 + ((size_t)(parts) - 1) * 30720)
#define MOBILENETS_SEPARABLE_ALIGNMENT 64

#ifdef __cplusplus
extern "C" {
#endif

/* One image. Nothing is kept between calls: threads may call it at the same time, each with an arena and an output. */
void mobilenets_separable_run(const void *weights, const uint8_t *pixels, float *output, void *arena);

/* One of STEPS steps, in `parts` parts that may run at the same time: all parts of one step, then the next step.
 * Needs PARTS_ARENA_BYTES(parts) bytes. The answer does not depend on the number of parts. */
void mobilenets_separable_step(int step, int part, int parts,
    const void *weights, const uint8_t *pixels, float *output, void *arena);

#ifdef __cplusplus
}
#endif

static const char *const MOBILENETS_SEPARABLE_LABELS[3] __attribute__((unused)) = {
    "plain",
    "quoted \042tulip\042 \134 why\077\077/",
    "Gänseblümchen\012\007",
};

#endif
