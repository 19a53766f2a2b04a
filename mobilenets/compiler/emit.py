"""`Program` -> C99: one function a step, calling the kernels with every size a literal. A table: step -> C template."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files

from ..errors import CompileError
from .header import arguments, header, literal
from .lower import ALIGNMENT, Lowered
from .pack import Array
from .plan import Arena, aligned, plan
from .program import Buffer, Step

__all__ = ["KERNELS", "TEMPLATES", "Source", "emit"]

MOST = 2**31 - 1  # what an int of C counts to


@dataclass(frozen=True, slots=True)
class Source:
    """The two files and what a caller must know."""

    c: str
    h: str
    arena: Arena
    steps: int


def emit(lowered: Lowered, embed: bool = False) -> Source:
    """The C of a lowered network; `embed`: with its weights in it, instead of as an argument.

    `CompileError` where a size is more than an int of C holds.
    """
    program = lowered.program
    arena = plan(program.steps)
    for what, floats in (("weights", len(lowered.weights)), ("activations", arena.floats(1))):
        if floats > MOST:
            raise CompileError(f"{floats} floats of {what} must be at most {MOST}")
    parts = [_head(lowered), *_kernels(program.steps)]
    parts += [_function(number, step, arena) for number, step in enumerate(program.steps)]
    parts += [_embedded(lowered.weights)] if embed else []
    parts.append(_entry(program.name, len(program.steps), embed))
    return Source("\n".join(parts), header(lowered, arena, embed), arena, len(program.steps))


def _head(lowered: Lowered) -> str:
    program = lowered.program
    return f"""/* {program.name}: written by mobilenets for {program.target.name}; see the header. */
#include "mobilenets_{program.name}.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX {max(step.mr for step in program.steps)}
#define NR_MAX {max(step.nr for step in program.steps)}
#define DW_MAX 4 /* pixels of a depthwise convolution at a time */

static const float image_border[] = {{{", ".join(map(literal, lowered.border))}}}; /* what normalisation makes zero */
"""


# kind of step -> its kernels; those of vectors have a copy for each width
KERNELS = {
    "image": ("border", "image"),
    "conv": ("border", "vectors", "tile", "conv"),
    "separable": ("border", "vectors", "tile", "depthwise", "pointwise"),
    "pointwise": ("border", "vectors", "tile", "pointwise"),
    "pool": ("pool",),
    "fully_connected": ("vectors", "tile", "fully_connected"),
    "softmax": ("softmax",),
}


def _kernels(steps: tuple[Step, ...]) -> list[str]:
    """The text of each kernel that a step calls, once for each width of vectors."""
    used: dict[tuple[str, int], None] = {}  # a set, in order
    for step in steps:
        for kernel in KERNELS[step.kind]:
            if kernel in ("vectors", "depthwise") and step.lanes:
                used["vectors", step.lanes] = None
            used[kernel, step.lanes if kernel == "depthwise" else step.vector] = None
    folder = files(__package__) / "kernels"
    texts = [(folder / f"{kernel}.c").read_text("utf-8").replace("@", str(width)) for kernel, width in used]
    return list(dict.fromkeys(texts))


def _at(arena: Arena, buffer: Buffer) -> str:
    return f"arena + {arena.offsets[buffer.name]}"


def _rows(step: Step) -> str:
    return f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;"


def _border(step: Step, arena: Arena, value: str = "NULL") -> str:
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
    return [
        _rows(step),
        f"float *restrict rows = arena + (part ? {arena.one} + (size_t)(part - 1) * {aligned(step.scratch)} : "
        f"{arena.scratch[step.name]});",
        _border(step, arena),
        f"for (int y = first; y < last; y += {step.rows}) {{",
        f"    const int end = y + {step.rows} < last ? y + {step.rows} : last;",
        f"    depthwise{step.lanes}({_at(arena, a)}, {a.width}, {a.channels}, {step.stride}, {step.down}, "
        f"{step.right}, {dw}, {dw_bias}, {step.limit}, rows, {b.width}, y, end);",
        f"    pointwise{step.vector}({step.mr}, {step.nr}, rows, {a.channels}, {step.depth}, {pw}, {pw_bias}, "
        f"{step.limit}, {_at(arena, b)}, {b.width}, {b.channels}, y * {b.width}, end * {b.width});",
        "}",
    ]


def _pointwise(step: Step, arena: Arena) -> list[str]:
    a, b, (weights, bias) = step.input, step.output, step.arrays
    return [
        _rows(step),
        _border(step, arena),
        "for (int y = first; y < last; y++) {",
        f"    const float *row = {_at(arena, a)} + ((y + 1) * {a.width + 2} + 1) * {a.channels};",
        f"    pointwise{step.vector}({step.mr}, {step.nr}, row, {a.channels}, {step.depth}, weights + {weights}, "
        f"weights + {bias}, {step.limit}, {_at(arena, b)}, {b.width}, {b.channels}, y * {b.width}, "
        f"(y + 1) * {b.width});",
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
    return [f"if (part == 0) softmax({_at(arena, step.input)}, {step.depth}, output);"]


TEMPLATES: dict[str, Callable[[Step, Arena], list[str]]] = {
    "image": _image,
    "conv": _conv,
    "separable": _separable,
    "pointwise": _pointwise,
    "pool": _pool,
    "fully_connected": _fully_connected,
    "softmax": _softmax,
}


_ARGUMENTS = ("weights", "pixels", "output", "arena")
_PARAMETERS = ", ".join(arguments(embed=False)).replace("*", "*restrict ")


def _function(number: int, step: Step, arena: Arena) -> str:
    lines = TEMPLATES[step.kind](step, arena)
    unused = [name for name in ("parts", *_ARGUMENTS) if not any(name in line for line in lines)]
    lines = [" ".join(f"(void){name};" for name in unused), *lines]
    head = f"/* {step.name}: {step.shape} */\nstatic void step_{number}(int part, int parts,\n    {_PARAMETERS}) {{"
    return "\n".join([head, *(f"    {line}" for line in lines), "}\n"])


def _embedded(weights: Array) -> str:
    """All weights as one array, nine digits each: enough to give back every bit."""
    rows = weights.reshape(-1, 8).tolist()  # they are aligned
    line = "    " + ", ".join(["%.8ef"] * 8) + ",\n"
    numbers = "".join(line % tuple(row) for row in rows)
    attribute = f"__attribute__((aligned({4 * ALIGNMENT})))"
    return f"static const float embedded[{len(weights)}] {attribute} = {{\n{numbers}}};\n"


def _entry(name: str, steps: int, embed: bool) -> str:
    parameters = ", ".join(arguments(embed))
    passed = ", ".join(_ARGUMENTS[embed:])
    cases = "\n".join(f"    case {n}: step_{n}(part, parts, {', '.join(_ARGUMENTS)}); break;" for n in range(steps))
    hidden = """    const float *weights = embedded;
    __asm__("" : "+r"(weights)); /* hides what it points to: compilers would look into it for a minute */
"""
    return f"""void mobilenets_{name}_step(int step, int part, int parts,
    {parameters}) {{
{hidden if embed else ""}    switch (step) {{
{cases}
    default: break;
    }}
}}

void mobilenets_{name}_run({parameters}) {{
    for (int step = 0; step < {steps}; step++) mobilenets_{name}_step(step, 0, 1, {passed});
}}
"""
