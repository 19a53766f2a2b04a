"""Emit the header of a network in C: sizes, labels and preprocessing, as constants and comments."""

from textwrap import fill

from ..errors import UsageError
from ..image import Preprocess
from .build import FLAGS
from .lower import Lowered
from .plan import Arena
from .program import ALIGNMENT, Target

__all__ = ["SHOWN", "arguments", "check_name", "header", "literal", "pixel_constants", "quoted"]

SHOWN = {
    "crop": "the centred box of this aspect ratio that covers CROP of it",
    "stretch": "all of it, stretched",
    "letterbox": "all of it in its own aspect ratio, centred on black",
}


def check_name(name: str) -> None:
    """Raise `UsageError` for a name of functions and constants that C does not allow."""
    if not name.isidentifier() or not name.isascii():
        raise UsageError(f"name {name!r} must be a word that C allows: letters, digits and _, no digit first")


def pixel_constants(p: Preprocess) -> dict[str, str]:
    """Return name without prefix -> value of the constants that state size and preprocessing."""
    return {
        "HEIGHT": f"{p.height}",
        "WIDTH": f"{p.width}",
        "CHANNELS": f"{p.channels} /* {'grey' if p.channels == 1 else 'red, green, blue'} */",
        "FIT": f'"{p.fit}"',
        "CROP": literal(p.crop),
        "RESIZE": f'"{p.resize}"',
        "MEAN": per_channel(p.mean, p.channels),
        "STD": per_channel(p.std, p.channels),
    }


def arguments(embed: bool) -> tuple[str, ...]:
    """Return the parameters of the function run, in C; embedded weights are not among them."""
    return (*(() if embed else ("const void *weights",)), "const uint8_t *pixels", "float *output", "void *arena")


def header(lowered: Lowered, arena: Arena, embed: bool) -> str:
    """Return the header of a lowered network."""
    program = lowered.program
    name, prefix = program.name, f"MOBILENETS_{program.name.upper()}"
    p = lowered.preprocess
    defines = {
        **pixel_constants(p),
        "CLASSES": f"{program.classes}",
        "STEPS": f"{len(program.steps)}",
        "WEIGHTS_BYTES": f"{lowered.weights.size}",
        "ARENA_BYTES": f"{arena.one}",
        "PARTS_ARENA_BYTES(parts)": f"({arena.one} + ((size_t)(parts) - 1) * {arena.more})",
        "ALIGNMENT": f"{ALIGNMENT}",
    }
    if embed:
        del defines["WEIGHTS_BYTES"]
    constants = "\n".join(f"#define {prefix}_{key} {value}" for key, value in defines.items())
    labels = "\n".join(f"    {quoted(label)}," for label in lowered.labels)
    joined = ", ".join(arguments(embed))
    weights = (
        "" if embed else "\n * weights: WEIGHTS_BYTES bytes that came with this file, at an address like the arena's."
    )
    made = f"{program.target.name} in {program.precision}"
    permission = (
        "\n * Linux lets a process use AMX that has asked: once, syscall(SYS_arch_prctl, 0x1023, 18) must return 0."
        if "amx_tile" in program.target.features
        else ""
    )
    antialiasing = "" if p.resize == "nearest" else " and antialiasing"
    return f"""/* {name}: a network as C, written by mobilenets for {made}.{permission}
{_flags(program.target)}
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]. Of any picture: {SHOWN[p.fit]},
 *   resized with the kernel RESIZE{antialiasing}. (pixel - MEAN) / STD is worked out inside, not by the caller.
 * output: CLASSES logits, then CLASSES probabilities.
 * arena: ARENA_BYTES bytes for the time of a call, at an address that ALIGNMENT divides.{weights}
 */
#ifndef {prefix}_H
#define {prefix}_H

#include <stddef.h>
#include <stdint.h>

{constants}

#ifdef __cplusplus
extern "C" {{
#endif

/* One image. Nothing is kept between calls: threads may call it at the same time, each with an arena and an output. */
void mobilenets_{name}_run({joined});

/* One of STEPS steps, in `parts` parts that may run at the same time: all parts of one step, then the next step.
 * Needs PARTS_ARENA_BYTES(parts) bytes. The answer does not depend on the number of parts. */
void mobilenets_{name}_step(int step, int part, int parts,
    {joined});

#ifdef __cplusplus
}}
#endif

static const char *const {prefix}_LABELS[{program.classes}] __attribute__((unused)) = {{
{labels}
}};

#endif
"""


def _flags(target: Target) -> str:
    flags = [flag for flag in (*FLAGS, *target.flags) if flag not in ("-shared", "-fPIC")]  # of a library
    text = f"Tested and measured with {' '.join(flags)}, by gcc."
    return fill(text, 118, initial_indent=" * ", subsequent_indent=" *   ", break_on_hyphens=False)


def literal(value: float) -> str:
    """Return a float in C."""
    return f"{float(value)!r}f"


def per_channel(value: float | tuple[float, ...], channels: int) -> str:
    """Return a number for each channel, as an initialiser in C."""
    values = value if isinstance(value, tuple) else (value,) * channels
    return "{" + ", ".join(map(literal, values)) + "}"


def quoted(label: str) -> str:
    """Return a string in C: characters that are not printable or mean something in C are octal escapes of UTF-8."""
    return '"' + "".join(char if _plain(char) else _escaped(char) for char in label) + '"'


def _plain(char: str) -> bool:
    return char.isprintable() and char not in '"\\?'


def _escaped(char: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in char.encode("utf-8", "surrogatepass"))
