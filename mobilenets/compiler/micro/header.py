"""Emit the header of a network for microcontrollers: plain C that C++ reads as well."""

from ...image import Preprocess
from ..header import SHOWN, pixel_constants, quoted

__all__ = ["header"]


def header(name: str, p: Preprocess, labels: tuple[str, ...], output: str, sizes: dict[str, int]) -> str:
    """Return the header; `sizes` maps names of constants, without their prefix, to bytes."""
    prefix = f"MOBILENETS_{name.upper()}"
    defines = {
        **pixel_constants(p),
        "CLASSES": f"{len(labels)}",
        **{key: f"{size}" for key, size in sizes.items()},
    }
    constants = "\n".join(f"#define {prefix}_{key} {value}" for key, value in defines.items())
    lines = "\n".join(f"    {quoted(label)}," for label in labels)
    antialiasing = "" if p.resize == "nearest" else " and antialiasing"
    return f"""/* {name}: an int8 network as C, written by mobilenets.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS], which may be in flash. Of any picture: {SHOWN[p.fit]},
 *   resized with the kernel RESIZE{antialiasing}. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that 8 divides. A call needs at most STACK_BYTES more
 *   of stack. Weights are constants of WEIGHTS_BYTES, without code. Nothing is kept between calls.
 */
#ifndef {prefix}_H
#define {prefix}_H

#include <stdint.h>

{constants}

#ifdef __cplusplus
extern "C" {{
#endif

/* Write CLASSES logits, as integers that only grow with the real ones, and return the class of the largest. */
int mobilenets_{name}_run(const uint8_t *pixels, int8_t *logits, void *arena);

/* Write CLASSES real logits, then the {output} of each: 2 * CLASSES numbers. */
void mobilenets_{name}_scores(const int8_t *logits, float *scores);

#ifdef __cplusplus
}}
#endif

static const char *const {prefix}_LABELS[{len(labels)}] __attribute__((unused)) = {{
{lines}
}};

#endif
"""
