"""`Program` -> C99: one function a step, calling the kernels with every size a literal. A table: step -> C template."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

from .lower import Lowered
from .plan import Arena, plan
from .program import Buffer, Step

__all__ = ["TEMPLATES", "Source", "emit"]

KERNELS = ("vectors", "tile", "pointwise", "depthwise", "conv", "fully_connected")  # one copy for each vector width
PLAIN_KERNELS = ("border", "image", "pool", "softmax")


@dataclass(frozen=True, slots=True)
class Source:
    """The two files and what a caller must know."""

    c: str
    h: str
    arena: Arena
    steps: int


def emit(lowered: Lowered) -> Source:
    """The C of a lowered network."""
    program = lowered.program
    arena = plan(program.steps)
    name = program.name
    parts = [_head(lowered), *_kernels(program.steps)]
    parts += [_function(number, step, arena) for number, step in enumerate(program.steps)]
    parts.append(_entry(name, len(program.steps)))
    return Source("\n".join(parts), _header(lowered, arena), arena, len(program.steps))


def _head(lowered: Lowered) -> str:
    steps = lowered.program.steps
    border = ", ".join(f"{value!r}f" for value in lowered.border)
    return f"""/* {lowered.program.name}: written by mobilenets for {lowered.program.target.name}; see the header. */
#include "mobilenets_{lowered.program.name}.h"

#include <math.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX {max(step.mr for step in steps)}
#define NR_MAX {max(step.nr for step in steps)}
#define DW_MAX 4

static const float image_border[] = {{{border}}}; /* the pixel that normalisation makes zero */
"""


def _kernels(steps: tuple[Step, ...]) -> list[str]:
    folder = files(__package__) / "kernels"
    vectors = sorted({step.vector for step in steps if step.vector} | {_stored_vector(step) for step in steps})
    text = [(folder / f"{kernel}.c").read_text("utf-8") for kernel in PLAIN_KERNELS]
    for vector in vectors:
        if vector:
            text += [(folder / f"{kernel}.c").read_text("utf-8").replace("@", str(vector)) for kernel in KERNELS]
    return text


def _stored_vector(step: Step) -> int:
    """The vector of a depthwise convolution: the widest that divides its channels as they are stored."""
    if step.kind != "separable":
        return 0
    channels = step.input.channels
    return next(vector for vector in (16, 8, 4) if channels % vector == 0)


def _at(arena: Arena, buffer: Buffer) -> str:
    return f"arena + {arena.offsets[buffer.name]}"


def _rows(step: Step) -> str:
    return f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;"


def _border(step: Step, arena: Arena, value: str = "0") -> str:
    b = step.output
    return f"border({_at(arena, b)}, {b.height}, {b.width}, {b.channels}, {value}, first, last);"


def _image(step: Step, arena: Arena) -> list[str]:
    b = step.output
    return [
        _rows(step),
        _border(step, arena, "image_border"),
        f"image(pixels, {b.width}, {b.channels}, {_at(arena, b)}, first, last);",
    ]


def _conv(step: Step, arena: Arena) -> list[str]:
    a, b, (weights, bias) = step.input, step.output, step.arrays
    return [
        _rows(step),
        _border(step, arena),
        f"conv{step.vector}({step.mr}, {step.nr}, {_at(arena, a)}, {a.width}, {a.channels}, {step.depth}, "
        f"{step.stride}, {step.down}, {step.right}, weights + {weights}, weights + {bias}, {step.limit}, "
        f"{_at(arena, b)}, {b.width}, {b.channels}, first, last);",
    ]


def _separable(step: Step, arena: Arena) -> list[str]:
    a, b = step.input, step.output
    dw, dw_bias, pw, pw_bias = (f"weights + {at}" for at in step.arrays)
    scratch = f"arena + {arena.buffers}" + (f" + part * {arena.scratch}" if arena.scratch else "")
    return [
        _rows(step),
        f"float *restrict rows = {scratch};",
        _border(step, arena),
        f"for (int y = first; y < last; y += {step.rows}) {{",
        f"    const int end = y + {step.rows} < last ? y + {step.rows} : last;",
        f"    depthwise{_stored_vector(step)}({_at(arena, a)}, {a.width}, {a.channels}, {step.stride}, {step.down}, "
        f"{step.right}, {dw}, {dw_bias}, {step.limit}, rows, {b.width}, y, end);",
        f"    pointwise{step.vector}({step.mr}, {step.nr}, rows, {a.channels}, {step.depth}, {pw}, {pw_bias}, "
        f"{step.limit}, {_at(arena, b)}, {b.width}, {b.channels}, y * {b.width}, end * {b.width});",
        "}",
    ]


def _pool(step: Step, arena: Arena) -> list[str]:
    a = step.input
    return [f"if (part == 0) pool({_at(arena, a)}, {a.height}, {a.width}, {a.channels}, {_at(arena, step.output)});"]


def _fully_connected(step: Step, arena: Arena) -> list[str]:
    weights, bias = step.arrays
    panel = step.nr * step.vector
    return [
        _rows(step),
        f"fully_connected{step.vector}({step.nr}, {_at(arena, step.input)}, {step.depth}, weights + {weights}, "
        f"weights + {bias}, {_at(arena, step.output)}, first * {panel}, last * {panel});",
    ]


def _softmax(step: Step, arena: Arena) -> list[str]:
    return [f"if (part == 0) softmax({_at(arena, step.input)}, CLASSES, output);"]


TEMPLATES: dict[str, Callable[[Step, Arena], list[str]]] = {
    "image": _image,
    "conv": _conv,
    "separable": _separable,
    "pool": _pool,
    "fully_connected": _fully_connected,
    "softmax": _softmax,
}
ARGUMENTS = (
    "const float *restrict weights, const uint8_t *restrict pixels, float *restrict output, float *restrict arena"
)
_UNUSED = {"image": "weights output", "softmax": "weights pixels parts", "pool": "weights pixels output parts"}


def _function(number: int, step: Step, arena: Arena) -> str:
    lines = [f"    (void){name};" for name in _UNUSED.get(step.kind, "pixels output").split()]
    lines += [f"    {line}" for line in TEMPLATES[step.kind](step, arena)]
    head = f"/* {step.name}: {step.shape} */\nstatic void step_{number}({ARGUMENTS}, int part, int parts) {{"
    return "\n".join([head, *lines, "}\n"])


def _entry(name: str, steps: int) -> str:
    cases = "\n".join(
        f"    case {n}: step_{n}(weights, pixels, output, arena, part, parts); break;" for n in range(steps)
    )
    return f"""void mobilenets_{name}_step(int step, int part, int parts,
    {ARGUMENTS}) {{
    switch (step) {{
{cases}
    default: break;
    }}
}}

void mobilenets_{name}_run({ARGUMENTS}) {{
    for (int step = 0; step < {steps}; step++) mobilenets_{name}_step(step, 0, 1, weights, pixels, output, arena);
}}
"""


def _header(lowered: Lowered, arena: Arena) -> str:
    program = lowered.program
    image = program.steps[0].output
    return f"""/* {program.name}: a network as C, written by mobilenets for {program.target.name}.
 *
 * pixels: bytes [HEIGHT][WIDTH][CHANNELS]; normalisation is inside. output: CLASSES logits, then CLASSES probabilities.
 * weights: the floats that came with this file, aligned to 64 bytes. arena: ARENA_FLOATS(parts), aligned to 64 bytes.
 */
#ifndef MOBILENETS_{program.name.upper()}_H
#define MOBILENETS_{program.name.upper()}_H
#include <stdint.h>

#define HEIGHT {image.height}
#define WIDTH {image.width}
#define CHANNELS {image.channels}
#define CLASSES {program.classes}
#define STEPS {len(program.steps)}
#define WEIGHTS_FLOATS {len(lowered.weights)}
#define ARENA_FLOATS(parts) ({arena.buffers} + (parts) * {arena.scratch})

void mobilenets_{program.name}_run({ARGUMENTS});

/* One step of STEPS, in `parts` parts that may run at the same time: all parts of one step, then the next step. */
void mobilenets_{program.name}_step(int step, int part, int parts, {ARGUMENTS});
#endif
"""
