"""Emit the steps of a network as one file of C99: kernels, packed weights, a table of the steps, and two functions."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from textwrap import fill
from typing import Any

import numpy as np

from ...errors import CompileError
from ...quant.scheme import QuantModel
from ..header import literal
from .families import Family
from .lower import Part, Rule, Step
from .plan import Arena

__all__ = ["emit", "strides"]

MOST = 2**16 - 1  # what the fields of a step hold
SUM_BYTES = 36  # of a `sum` in kernels/types.c
SCORES = {
    "softmax": ("exponential", "softmax"),
    "sigmoid": ("exponential", "sigmoid"),
    "l2_normalise": ("l2_normalise",),
}


def emit(name: str, steps: Sequence[Step], arena: Arena, family: Family, model: QuantModel) -> tuple[str, int]:
    """Return the C of `steps`, and the bytes of its weights, biases and factors.

    Raises `CompileError` where a size is more than the fields of a step hold.
    """
    tables = _Tables()
    rows = [_row(tables, number, steps, arena, family) for number in range(len(steps))]
    output, logits = model.network.output, model.activations["fc"]
    gathers = dict.fromkeys(f"gather_{kind}" for step in steps for kind in (family.gather(step), step.gather))
    sums, gates = any(step.sum for step in steps), any(step.gate for step in steps)
    parts = [
        f'/* {name}: written by mobilenets; see the header. */\n#include "mobilenets_{name}.h"\n',
        "#include <stddef.h>\n#include <string.h>\n" + "#define SUMS\n" * sums + "#define GATES\n" * gates,
        f"#define PIXELS_PITCH {arena.steps[0].pitch}\n",
        f"#define STEPS {len(steps)}\n#define CLASSES {steps[-1].shape_out[2]}\n",
        *(
            _kernel(kernel)
            for kernel in (*family.before, *gathers, *family.behind, *["add"] * sums, *["store"] * gates)
        ),
        *family.assembly(steps, arena),
        *tables.texts,
        "static const step steps[STEPS] = {\n" + "".join(rows) + "};\n",
        _kernel("run").replace("@", name),
        f"#define LOGIT_SCALE {literal(logits.scale)}\n#define LOGIT_ZERO {logits.zero_point}\n",
        "#define INLINE static inline\n",
        *(_shared(kernel) for kernel in SCORES[output]),
        _kernel("scores").replace("@", name).replace("OUTPUT", output),
    ]
    return "\n".join(parts), tables.size


class _Tables:
    """The arrays of the file: their texts, and their bytes in all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.size = 0

    def add(self, name: str, element: str, array: np.ndarray[Any, Any]) -> str:
        """Append an array and return its name."""
        self.texts.append(f"static const {element} {name}[] WORDS = {{\n{_numbers(array.reshape(-1))}}};\n")
        self.size += array.nbytes
        return name

    def struct(self, name: str, kind: str, text: str, size: int) -> str:
        """Append a structure of so many bytes and return its address."""
        self.texts.append(f"static const {kind} {name} = {{{text}}};\n")
        self.size += size
        return f"&{name}"


def _row(tables: _Tables, number: int, steps: Sequence[Step], arena: Arena, family: Family) -> str:
    """Return the entry of a step in the table of steps, and add its arrays."""
    step, placed = steps[number], arena.steps[number]
    w, product, pitch = step.window, None, placed.pitch
    weights = "0"
    if step.product:
        packed, bias = family.weights(step)
        weights, product = tables.add(f"weights_{number}", "int8_t", packed), replace(step.product, bias=bias)
    taps = tables.add(f"taps_{number}", "int8_t", family.taps(step)) if step.gather == "depthwise" else "0"
    rules = [_rule(tables, f"{name}_{number}", part) for name, part in (("first", step.first), ("product", product))]
    read = step.gate[0] if step.gate else number - 1
    into, out = strides(read, steps, arena, family), strides(number, steps, arena, family)
    halves = *step.shape_in, *step.shape_out
    sizes = out[3], placed.band, family.pairs(step), pitch, family.skip(step, pitch), placed.kept
    if max(*halves, *sizes) > MOST:
        raise CompileError(f"{step.name}: {max(*halves, *sizes)} of a size must be at most {MOST} on microcontrollers")
    numbers = [placed.input, placed.output, placed.scratch, *halves, *into[:3], out[0], out[2], *sizes]
    window = [w.kernel, w.stride, w.top, w.left, step.padding]
    functions = [family.function(step), family.tiles(step, pitch)]
    words = [*functions, *map(str, [*numbers, *window]), taps, weights, *rules]
    if any(other.sum for other in steps):
        words.append(_sum(tables, number, steps, arena, family))
    if any(other.gate for other in steps):
        words.append(str(arena.steps[step.gate[1]].output if step.gate else 0))
    shape = " -> ".join("x".join(map(str, shape)) for shape in (step.shape_in, step.shape_out))
    indent, more = " " * 4, " " * 8
    text = fill(f"{{{', '.join(words)}}},", 118, initial_indent=indent, subsequent_indent=more, break_on_hyphens=False)
    return f"    /* {step.name}: {shape} */\n{text}\n"


def strides(number: int, steps: Sequence[Step], arena: Arena, family: Family) -> tuple[int, int, int, int]:
    """Return the bytes between rows, pixels and channels of the image that a step writes, and pixels side by side."""
    if number < 0:
        _, width, channels = steps[0].shape_in
        return width * channels, channels, 1, width
    whole = all(arena.steps[n].band >= steps[n].shape_out[0] for n in (number, number + 1) if n < len(steps))
    return family.strides(steps[number].shape_out, whole and not arena.steps[number].kept)


def _sum(tables: _Tables, number: int, steps: Sequence[Step], arena: Arena, family: Family) -> str:
    """Return the pointer to what a step adds, and add that to the tables."""
    sum = steps[number].sum
    if sum is None:
        return "0"
    row, pixel, plane, _ = strides(sum.writer, steps, arena, family)
    numbers = [arena.steps[sum.writer].output, row, pixel, plane, *sum.factors, sum.bias, sum.shift]
    rule = sum.rule
    text = ", ".join(map(str, [*numbers, rule.zero, rule.low, rule.high]))
    return tables.struct(f"sum_{number}", "sum", text, SUM_BYTES)


def _rule(tables: _Tables, name: str, part: Part | None) -> str:
    if part is None:
        return "{0, 0, 0, 0, 0, 0, 0}"
    rule: Rule = part.rule
    bias = tables.add(f"{name}_bias", "int32_t", part.bias)
    factor = tables.add(f"{name}_factor", "float", part.factor)
    table = "0" if rule.table is None else tables.add(f"{name}_table", "uint8_t", rule.table)
    return f"{{{bias}, {factor}, {table}, {rule.zero}, {rule.low}, {rule.high}, {part.weight_zero}}}"


def _kernel(name: str) -> str:
    return (files(__package__) / "kernels" / f"{name}.c").read_text("utf-8")


def _shared(name: str) -> str:
    """Return a kernel of the compiler, which here writes over what it reads."""
    text = (files(__package__.rpartition(".")[0]) / "kernels" / f"{name}.c").read_text("utf-8")
    return text.replace(" *restrict", " *")


def _numbers(array: np.ndarray[Any, Any]) -> str:
    one, many = ("%.8ef", 7) if array.dtype.kind == "f" else ("%d", 20 if array.itemsize == 1 else 9)
    rows = (array[at : at + many].tolist() for at in range(0, len(array), many))
    return "".join(f"    {', '.join([one] * len(row)) % tuple(row)},\n" for row in rows)
