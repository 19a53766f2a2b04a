/* int8: a network as C, written by mobilenets for avx512vnni in int8.
 * Tested and measured with -O2 -std=c11 -ffp-contract=fast -fno-math-errno -mavx512f -mavx512bw -mavx512dq -mavx512vl
 *   -mfma -mprefer-vector-width=512 -mavx512vnni, by gcc.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]. Of any picture: the centred box of this aspect ratio that covers CROP of it,
 *   resized with the kernel RESIZE and antialiasing. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * output: CLASSES logits, then CLASSES probabilities.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that ALIGNMENT divides.
 */
#ifndef MOBILENETS_INT8_H
#define MOBILENETS_INT8_H

#include <stddef.h>
#include <stdint.h>

#define MOBILENETS_INT8_HEIGHT 40
#define MOBILENETS_INT8_WIDTH 36
#define MOBILENETS_INT8_CHANNELS 3 /* red, green, blue */
#define MOBILENETS_INT8_FIT "crop"
#define MOBILENETS_INT8_CROP 0.875f
#define MOBILENETS_INT8_RESIZE "bilinear"
#define MOBILENETS_INT8_MEAN {127.5f, 127.5f, 127.5f}
#define MOBILENETS_INT8_STD {127.5f, 127.5f, 127.5f}
#define MOBILENETS_INT8_CLASSES 3
#define MOBILENETS_INT8_STEPS 7
#define MOBILENETS_INT8_ARENA_BYTES 12736
#define MOBILENETS_INT8_PARTS_ARENA_BYTES(parts) (12736 + ((size_t)(parts) - 1) * 2688)
#define MOBILENETS_INT8_ALIGNMENT 64

#ifdef __cplusplus
extern "C" {
#endif

/* One image. Nothing is kept between calls: threads may call it at the same time, each with an arena and an output. */
void mobilenets_int8_run(const uint8_t *pixels, float *output, void *arena);

/* One of STEPS steps, in `parts` parts that may run at the same time: all parts of one step, then the next step.
 * Needs PARTS_ARENA_BYTES(parts) bytes. The answer does not depend on the number of parts. */
void mobilenets_int8_step(int step, int part, int parts,
    const uint8_t *pixels, float *output, void *arena);

#ifdef __cplusplus
}
#endif

static const char *const MOBILENETS_INT8_LABELS[3] __attribute__((unused)) = {
    "a",
    "b",
    "c",
};

#endif
