"""What the compiler works on after lowering: steps that read and write bordered images, every size a number.

A bordered image is [height + 2][width + 2][channels] elements: a pixel of border all round, so that no kernel asks
where the image ends. Its channels are padded to whole vectors with zeros.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ALIGNMENT",
    "DTYPES",
    "SIZES",
    "Buffer",
    "Constant",
    "Element",
    "Program",
    "Rule",
    "Step",
    "Target",
    "aligned",
]

ALIGNMENT = 64  # bytes, of every array in the arena and in the blob: a cache line, and the widest vector

Element = Literal["float", "uint16_t", "uint8_t", "int8_t", "int16_t", "int32_t"]  # as C names it; uint16_t: bf16
DTYPES: dict[Element, str] = {
    "float": "<f4",
    "uint16_t": "<u2",
    "uint8_t": "u1",
    "int8_t": "i1",
    "int16_t": "<i2",
    "int32_t": "<i4",
}  # as numpy does
SIZES: dict[Element, int] = {"float": 4, "uint16_t": 2, "uint8_t": 1, "int8_t": 1, "int16_t": 2, "int32_t": 4}  # bytes
Kind = Literal[
    "image",
    "conv",
    "separable",
    "separable_any",
    "depthwise",
    "pointwise",
    "dense",
    "add",
    "multiply",
    "pool",
    "fully_connected",
    "softmax",
    "sigmoid",
    "l2_normalise",
    "bf16_image",
    "bf16_conv",
    "bf16_separable",
    "bf16_separable_tiles",
    "split_separable",
    "split_separable_tiles",
    "bf16_pointwise",
    "bf16_pool",
    "bf16_fully_connected",
    "int8_conv",
    "int8_separable",
    "int8_separable_tiles",
    "int8_pointwise",
    "int8_pointwise_tiles",
    "int8_pool",
    "int8_fully_connected",
    "int8_depthwise",
    "int8_dense",
    "int8_add",
    "int8_multiply",
    "int8_hard_swish",
    "int8_softmax",
    "int8_sigmoid",
    "int8_l2_normalise",
]


@dataclass(frozen=True, slots=True)
class Target:
    """A processor, as far as the layout of data depends on it."""

    name: str
    vector: int  # floats in its widest vector
    sums: int  # vector registers that a tile's sums may take
    features: tuple[str, ...]  # that a processor must have, as Linux names them
    flags: tuple[str, ...]  # for the C compiler
    dot: Literal["vnni", "madd"] = "madd"  # int8: four bytes at a time, or two 16-bit numbers


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array in the arena; `size` bytes, 0 for what the caller passes. A plain array has height and width 0."""

    name: str
    size: int
    element: Element = "float"
    height: int = 0
    width: int = 0
    channels: int = 0  # as they are stored

    @property
    def pixel(self) -> int:
        """Bytes."""
        return self.channels * SIZES[self.element]


@dataclass(frozen=True, slots=True)
class Constant:
    """An array in the blob of weights."""

    name: str  # of the parameter that is given it
    element: Element
    at: int  # bytes from the blob's beginning


@dataclass(frozen=True, slots=True)
class Rule:
    """How the sums of an int8 layer become bytes; a byte is q + 128."""

    source: int  # the input's zero point
    weight: int  # the weights' own, an int8
    zero: int  # the output's
    low: int  # the least and the largest that the activation lets through
    high: int


@dataclass(frozen=True, slots=True)
class Step:
    """What the emitted C does at once: rows (or units) of `output` are worked out, in any number of parts."""

    kind: Kind
    name: str  # of the graph's ops, "dw1 + pw1"
    input: Buffer
    output: Buffer
    units: int  # what is divided among parts: rows of the output, panels of a classifier; 1: not divided
    shape: str  # for the comment: "112x112x32 -> 112x112x64"
    limit: int = -1  # of the activation: -1 none, 0 ReLU, 6 ReLU6, -2 hard swish, -3 hard sigmoid
    first_limit: int = -1  # the same for the depthwise part of a separable one
    depth: int = 0  # input channels that count
    stride: int = 1
    down: int = 0  # border rows above the image that the padding leaves out, and columns on its left
    right: int = 0
    vector: int = 0  # floats in a vector here
    kernel: int = 3  # and padding (above, on the left), of a depthwise convolution of any size
    padding: tuple[int, int] = (0, 0)
    lanes: int = 0  # floats in a vector for the depthwise part of a separable one
    mr: int = 1  # pixels and
    nr: int = 1  # vectors of a tile
    rows: int = 0  # of the output that are worked out together
    scratch: int = 0  # bytes, for each part
    constants: tuple[Constant, ...] = ()  # weights and biases
    parts: int = 0  # bf16: how many of them make a number
    pixel: int = 0  # bf16: elements from pixel to pixel of the depthwise rows
    deep: int = 0  # int8: bytes of depth in a tile of AMX
    rules: tuple[Rule, ...] = ()  # int8: of the depthwise convolution, if there is one, and of the step
    terms: tuple[int, ...] = ()  # int8: of a sum, the multipliers of output and input, the bias and the shift
    factor: float = 0.0  # int8: of a pool's sums, and what a step of the logits stands for


@dataclass(frozen=True, slots=True)
class Program:
    """A network as C will run it."""

    name: str
    target: Target
    steps: tuple[Step, ...]
    classes: int
    precision: str = "fp32"


def aligned(size: int) -> int:
    """Bytes that an array takes."""
    return -(-size // ALIGNMENT) * ALIGNMENT
