/* embedded: a network as C, written by mobilenets for portable in fp32.
 * Tested and measured with -O2 -std=c11 -ffp-contract=fast -fno-math-errno, by gcc.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]. Of any picture: the centred box of this aspect ratio that covers CROP of it,
 *   resized with the kernel RESIZE and antialiasing. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * output: CLASSES logits, then CLASSES probabilities.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that ALIGNMENT divides.
 */
#ifndef MOBILENETS_EMBEDDED_H
#define MOBILENETS_EMBEDDED_H

#include <stddef.h>
#include <stdint.h>

#define MOBILENETS_EMBEDDED_HEIGHT 32
#define MOBILENETS_EMBEDDED_WIDTH 32
#define MOBILENETS_EMBEDDED_CHANNELS 3 /* red, green, blue */
#define MOBILENETS_EMBEDDED_FIT "crop"
#define MOBILENETS_EMBEDDED_CROP 0.875f
#define MOBILENETS_EMBEDDED_RESIZE "bilinear"
#define MOBILENETS_EMBEDDED_MEAN {128.0f, 128.0f, 128.0f}
#define MOBILENETS_EMBEDDED_STD {64.0f, 64.0f, 64.0f}
#define MOBILENETS_EMBEDDED_CLASSES 2
#define MOBILENETS_EMBEDDED_STEPS 6
#define MOBILENETS_EMBEDDED_ARENA_BYTES 19072
#define MOBILENETS_EMBEDDED_PARTS_ARENA_BYTES(parts) (19072 + ((size_t)(parts) - 1) * 1024)
#define MOBILENETS_EMBEDDED_ALIGNMENT 64

#ifdef __cplusplus
extern "C" {
#endif

/* One image. Nothing is kept between calls: threads may call it at the same time, each with an arena and an output. */
void mobilenets_embedded_run(const uint8_t *pixels, float *output, void *arena);

/* One of STEPS steps, in `parts` parts that may run at the same time: all parts of one step, then the next step.
 * Needs PARTS_ARENA_BYTES(parts) bytes. The answer does not depend on the number of parts. */
void mobilenets_embedded_step(int step, int part, int parts,
    const uint8_t *pixels, float *output, void *arena);

#ifdef __cplusplus
}
#endif

static const char *const MOBILENETS_EMBEDDED_LABELS[2] __attribute__((unused)) = {
    "plain",
    "quoted \042tulip\042 \134 why\077\077/",
};

#endif
