/* full: a network as C, written by mobilenets for avx2 in fp32.
 * Tested and measured with -O2 -std=c11 -ffp-contract=fast -fno-math-errno -mavx2 -mfma, by gcc.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]. Of any picture: the centred box of this aspect ratio that covers CROP of it,
 *   resized with the kernel RESIZE and antialiasing. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * output: CLASSES logits, then CLASSES probabilities.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that ALIGNMENT divides.
 * weights: WEIGHTS_BYTES bytes that came with this file, at an address like the arena's.
 */
#ifndef MOBILENETS_FULL_H
#define MOBILENETS_FULL_H

#include <stddef.h>
#include <stdint.h>

#define MOBILENETS_FULL_HEIGHT 32
#define MOBILENETS_FULL_WIDTH 33
#define MOBILENETS_FULL_CHANNELS 1 /* grey */
#define MOBILENETS_FULL_FIT "crop"
#define MOBILENETS_FULL_CROP 0.875f
#define MOBILENETS_FULL_RESIZE "bilinear"
#define MOBILENETS_FULL_MEAN {128.0f}
#define MOBILENETS_FULL_STD {64.0f}
#define MOBILENETS_FULL_CLASSES 2
#define MOBILENETS_FULL_STEPS 7
#define MOBILENETS_FULL_WEIGHTS_BYTES 6080
#define MOBILENETS_FULL_ARENA_BYTES 18688
#define MOBILENETS_FULL_PARTS_ARENA_BYTES(parts) (18688 + ((size_t)(parts) - 1) * 4608)
#define MOBILENETS_FULL_ALIGNMENT 64

#ifdef __cplusplus
extern "C" {
#endif

/* One image. Nothing is kept between calls: threads may call it at the same time, each with an arena and an output. */
void mobilenets_full_run(const void *weights, const uint8_t *pixels, float *output, void *arena);

/* One of STEPS steps, in `parts` parts that may run at the same time: all parts of one step, then the next step.
 * Needs PARTS_ARENA_BYTES(parts) bytes. The answer does not depend on the number of parts. */
void mobilenets_full_step(int step, int part, int parts,
    const void *weights, const uint8_t *pixels, float *output, void *arena);

#ifdef __cplusplus
}
#endif

static const char *const MOBILENETS_FULL_LABELS[2] __attribute__((unused)) = {
    "plain",
    "quoted \042tulip\042 \134 why\077\077/",
};

#endif
