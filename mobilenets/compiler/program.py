"""Programs, the result of lowering: steps that read and write images in the arena, every size a number.

A bordered image is [height + 2][width + 2][channels] elements: one pixel of border on all sides, so that no kernel has
to check where the image ends. Its channels are padded to whole vectors with zeros.
"""

from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, TypeVar

__all__ = [
    "ALIGNMENT",
    "DTYPES",
    "SIZES",
    "Buffer",
    "Constant",
    "Element",
    "Kind",
    "Program",
    "Step",
    "Target",
    "Tile",
    "Window",
    "aligned",
]

ALIGNMENT = 64  # bytes, of every array in the arena and in the blob: a cache line, and the widest vector

Element = Literal["float", "_Float16", "uint16_t", "uint8_t", "int8_t", "int16_t", "int32_t"]  # in C; uint16_t: bf16
DTYPES: dict[Element, str] = {
    "float": "<f4",
    "_Float16": "<f2",
    "uint16_t": "<u2",
    "uint8_t": "u1",
    "int8_t": "i1",
    "int16_t": "<i2",
    "int32_t": "<i4",
}  # as numpy does
SIZES: dict[Element, int] = {element: int(dtype[-1]) for element, dtype in DTYPES.items()}  # bytes


class Kind(NamedTuple):
    """What a step computes: an op, the number format of its kernels, and whether AMX multiplies in tiles."""

    op: str  # "separable": a depthwise convolution and the pointwise one behind it; "dense": of a single pixel
    format: str = "fp32"
    tiled: bool = False

    def __str__(self) -> str:
        """Return the name in C: "conv", "bf16_conv", "int8_pointwise_tiles"."""
        return f"{self.format}_".replace("fp32_", "") + self.op + "_tiles" * self.tiled


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of processor: what the layout of data depends on, and how the C compiler is called for it."""

    name: str
    vector: int  # numbers of its widest vector: floats, in fp16 halves
    sums: int  # vector registers that a tile's sums may take
    features: tuple[str, ...]  # that a processor must have, as Linux names them
    flags: tuple[str, ...]  # for the C compiler
    rows_cache: int = 32768  # bytes of depthwise rows in scratch at a time, where the arena has the space
    dot: Literal["vnni", "madd", "neon", "sdot"] = "madd"  # the kernels int8_dot_*.c
    pairs: bool = False  # int8: whether one instruction multiplies two pixels by two channels
    least_sums: int = 0  # of a tile of floats; fewer take as long, the latency of a multiplication
    own: tuple[str, ...] = ()  # KERNEL_NAME: kernels of its own, which take the place of KERNEL
    machine: str = ""  # the architecture, as `platform.machine` names it on Linux; "": x86-64 or any


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array in the arena; `size` bytes, 0 for arrays of the caller. An array that is no image has height 0."""

    name: str
    size: int
    element: Element = "float"
    height: int = 0
    width: int = 0
    channels: int = 0  # as they are stored

    @property
    def pixel(self) -> int:
        """Return the bytes of a pixel."""
        return self.channels * SIZES[self.element]


@dataclass(frozen=True, slots=True)
class Constant:
    """An array in the blob of weights."""

    name: str  # of the C parameter that takes it
    element: Element
    at: int  # bytes from the blob's beginning


@dataclass(frozen=True, slots=True)
class Window:
    """The window of a convolution: its size, its stride and the pixels of padding above and on the left."""

    kernel: int = 1
    stride: int = 1
    top: int = 0
    left: int = 0

    @property
    def down(self) -> int:
        """Return the border rows above a bordered image that a 3x3 window leaves out."""
        return 1 - self.top

    @property
    def right(self) -> int:
        """Return the border columns on the left of a bordered image that a 3x3 window leaves out."""
        return 1 - self.left


@dataclass(frozen=True, slots=True)
class Tile:
    """How much of its output a step computes at a time."""

    vector: int = 0  # sums in a vector
    nr: int = 1  # vectors
    mr: int = 1  # pixels
    lanes: int = 0  # sums in a vector of the depthwise part
    dw_nr: int = 1  # vectors of it
    dw_mr: int = 1  # pixels of it
    ex_mr: int = 0  # pixels of the expansion in front of it, or of a copy; 0: neither
    rows: int = 0  # of the depthwise part that wait in scratch


Own = TypeVar("Own")


@dataclass(frozen=True, slots=True)
class Step(Generic[Own]):
    """One function call of the emitted C: it computes the `units` of `output`, in any number of parts."""

    kind: Kind
    name: str  # of the graph's ops, "dw1 + pw1"
    input: Buffer
    output: Buffer
    shape: str  # for the comment: "112x112x32 -> 112x112x64"
    units: int = 1  # what is divided among parts: rows of the output, panels of a classifier; 1: not divided
    limits: tuple[int, ...] = (-1,)  # the activation of each layer, as `formats.format.LIMITS` numbers them
    depth: int = 0  # input channels without padding; of an output, its classes
    window: Window = Window()
    tile: Tile = Tile()
    scratch: int = 0  # bytes, for each part
    constants: tuple[Constant, ...] = ()  # weights and biases
    own: Own = None  # type: ignore[assignment]  # the part that only the format reads


@dataclass(frozen=True, slots=True)
class Program:
    """The steps of a network, in the order in which the emitted C runs them."""

    name: str
    target: Target
    steps: tuple[Step[object], ...]
    classes: int
    precision: str = "fp32"


def aligned(size: int) -> int:
    """Return the bytes that an array takes."""
    return -(-size // ALIGNMENT) * ALIGNMENT
