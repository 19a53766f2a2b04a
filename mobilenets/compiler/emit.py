"""Emit a `Program` as C99: a function for each different step, and a table of the calls with their arguments."""

import re
from dataclasses import dataclass
from importlib.resources import files
from textwrap import fill
from typing import Any

import numpy as np

from ..arch.ops import OUTPUTS
from ..errors import CompileError
from .blob import Blob
from .formats import FORMATS
from .formats.format import Body
from .header import arguments, header, literal
from .lower import Lowered
from .plan import Arena, plan
from .program import ALIGNMENT, Buffer, Element, Program, Step, aligned

__all__ = ["Source", "emit"]

MOST = 2**31 - 1  # the largest int of C
# kernels whose vectors are those of the depthwise part
OF_LANES = (
    "elements",
    "expansion",
    "expand",
    "depthwise",
    "depthwise_any",
    "bf16_depthwise",
    "bf16_depthwise_any",
    "bf16_elements",
    "bf16_expansion",
    "bf16_expansion_tiles",
    "bf16_split",
    "int8_depthwise",
)
# kernels that both parts of a step call
OF_BOTH = (
    *(
        "vectors",
        "activate",
        "tile",
        "fp16_vectors",
        "fp16_activate",
        "bf16_vectors",
        "bf16_tile",
        "bf16_pointwise",
        "bf16_pointwise_tiles",
    ),
    *("int8_vectors", "int8_dot"),
)
# kernels that read or write floats in every format
OF_FLOATS = (*OUTPUTS, "exponential", "fp16_pool", "fp16_fully_connected")


@dataclass(frozen=True, slots=True)
class Source:
    """The two files, and the numbers that a caller needs."""

    c: str
    h: str
    arena: Arena
    steps: int


def emit(lowered: Lowered, embed: bool = False) -> Source:
    """Return the C of a lowered network; with `embed`, weights are in it instead of an argument.

    Raises `CompileError` where a size is more than an int of C holds.
    """
    program = lowered.program
    arena = plan(program.steps)
    for what, size in (("weights", lowered.weights.size), ("activations", arena.one)):
        if size > MOST:
            raise CompileError(f"{size} bytes of {what} must be at most {MOST}")
    functions = _functions(program)
    parts = [_head(lowered), *_kernels(program), *(text.replace("@", name) for text, name in functions.items())]
    parts += [_embedded(lowered.weights)] if embed else []
    calls = [_call(functions[_function(program, step)], step, arena) for step in program.steps]
    parts.append(_entry(program.name, calls, embed))
    return Source("\n".join(parts), header(lowered, arena, embed), arena, len(program.steps))


def _head(lowered: Lowered) -> str:
    program = lowered.program
    made = f"{program.target.name} in {program.precision}"
    return f"""/* {program.name}: written by mobilenets for {made}; see the header. */
#include "mobilenets_{program.name}.h"

#define INLINE static inline __attribute__((always_inline, unused))
#define UNROLL _Pragma("GCC unroll 16")
#define MR_MAX {max(max(step.tile.mr, step.tile.ex_mr) for step in program.steps)}
#define NR_MAX {max(max(step.tile.nr, step.tile.dw_nr if step.tile.ex_mr else 1) for step in program.steps)}
#define DW_MAX {max(step.tile.dw_mr * step.tile.dw_nr for step in program.steps)}

{_border(program.steps[0].output.element, lowered.border)}"""


def _border(element: Element, values: tuple[float, ...]) -> str:
    if not values:
        return ""
    numbers = ", ".join(map(literal if element in ("float", "_Float16") else str, values))
    return f"static const {element} image_border[] = {{{numbers}}}; /* what normalisation makes zero */\n"


def _kernels(program: Program) -> list[str]:
    """Return the text of each kernel that a step calls, once for each width of vectors."""
    used: dict[tuple[str, int], None] = {}  # a set, in order
    variants = {"int8_dot": f"int8_dot_{program.target.dot}"}
    variants |= {own.rpartition("_")[0]: own for own in program.target.own}
    if any(limit not in (-1, 0) for step in program.steps for limit in step.limits):
        variants["activate"] = variants.get("activate_all", "activate_all")
    for step in program.steps:
        tile = step.tile
        for kernel in _body(program, step).kernels:
            name = variants.get(kernel, kernel)
            if kernel in OF_BOTH and tile.lanes:
                used[name, tile.lanes] = None
            used[name, tile.lanes if kernel in OF_LANES else tile.vector] = None
    number = FORMATS[program.precision].number
    texts = [kernel_text(kernel, width, "float" if kernel in OF_FLOATS else number) for kernel, width in used]
    return list(dict.fromkeys(texts))


def kernel_text(name: str, width: int, number: Element = "float") -> str:
    """Return the C of a kernel for vectors of `width` elements, `number` in the place of float."""
    text = (files(__package__) / "kernels" / f"{name}.c").read_text("utf-8").replace("@", str(width))
    return text if number == "float" else re.sub(r"\bfloat\b", number, text)


def _body(program: Program, step: Step[Any]) -> Body:
    return FORMATS[program.precision].bodies[step.kind]


def _function(program: Program, step: Step[Any]) -> str:
    """Return a step in C; @ stands for its name. Equal layers have equal texts."""
    lines = _body(program, step).lines(step)
    parameters = [
        f"const {step.input.element} *restrict in",
        f"{step.output.element} *restrict out",
        *(["void *restrict scratch"] if step.scratch else []),
        *(f"const {constant.element} *restrict {constant.name}" for constant in step.constants),
    ]
    if not any("parts" in line for line in lines):
        lines = ["(void)parts;", *lines]
    head = [
        f"/* {step.kind}: {step.shape} */",
        "static void @(int part, int parts,",
        f"    {', '.join(parameters)}) {{",
    ]
    return "\n".join([*head, *(f"    {line}" for line in lines), "}\n"])


def _functions(program: Program) -> dict[str, str]:
    """Return text -> name for each different function."""
    names: dict[str, str] = {}
    for number, step in enumerate(program.steps):
        names.setdefault(_function(program, step), f"{step.kind}_{number}")
    return names


def _call(function: str, step: Step[Any], arena: Arena) -> str:
    scratch = f"AT(part ? {arena.one} + (size_t)(part - 1) * {aligned(step.scratch)} : {arena.scratch[step.name]})"
    passed = [
        "part",
        "parts",
        _place(step.input, arena),
        _place(step.output, arena),
        *([scratch] if step.scratch else []),
        *(f"WEIGHTS({constant.at})" for constant in step.constants),
    ]
    call = _wrapped(f"{function}({', '.join(passed)});", 8)
    return f"/* {step.name} */\n{call}\n        break;"


def _wrapped(text: str, indent: int = 4) -> str:
    """Return `text` in lines of at most 120 characters."""
    return fill(text, 118, initial_indent=" " * indent, subsequent_indent=" " * (2 * indent), break_on_hyphens=False)


def _place(buffer: Buffer, arena: Arena) -> str:
    """Return the argument for a buffer: the caller's own, or its place in the arena."""
    return f"AT({arena.offsets[buffer.name]})" if buffer.size else buffer.name


def _embedded(weights: Blob) -> str:
    """Return all weights as one struct with the layout of the blob. Nine digits of a float keep every bit."""
    members, values = [], []
    for number, (constant, array) in enumerate(zip(weights.constants, weights.arrays, strict=True)):
        members.append(f"    {constant.element} {constant.name}_{number}[{len(array)}] ALIGNED;\n")
        values.append(f"    {{\n{_numbers(array)}    }},\n")
    attribute = f"#define ALIGNED __attribute__((aligned({ALIGNMENT})))"
    return f"{attribute}\nstatic const struct {{\n{''.join(members)}}} embedded = {{\n{''.join(values)}}};\n"


def _numbers(array: np.ndarray[Any, Any]) -> str:
    one = "%.8ef" if array.dtype.kind == "f" else "%d"
    rows = (array[at : at + 8].tolist() for at in range(0, len(array), 8))
    return "".join("        " + ", ".join([one] * len(row)) % tuple(row) + ",\n" for row in rows)


def _entry(name: str, calls: list[str], embed: bool) -> str:
    parameters = ", ".join(arguments(embed))
    passed = ", ".join(("weights", "pixels", "output", "arena")[embed:])
    cases = "\n".join(f"    case {number}: {call}" for number, call in enumerate(calls))
    hidden = """    const void *weights = &embedded;
    __asm__("" : "+r"(weights)); /* hides what it points to: compilers would look into it for a minute */
"""
    return f"""#define AT(bytes) ((void *)((unsigned char *)arena + (bytes)))
#define WEIGHTS(bytes) ((const void *)((const unsigned char *)weights + (bytes)))

void mobilenets_{name}_step(int step, int part, int parts,
    {parameters}) {{
{hidden if embed else ""}    switch (step) {{
{cases}
    default: break;
    }}
}}

void mobilenets_{name}_run({parameters}) {{
    for (int step = 0; step < {len(calls)}; step++) mobilenets_{name}_step(step, 0, 1, {passed});
}}
"""
