"""What the compiler works on after lowering: steps that read and write bordered images, every size a number.

A bordered image is [height + 2][width + 2][channels] floats: a pixel of border all round, so that no kernel asks where
the image ends. Its channels are padded to whole vectors with zeros.
"""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Buffer", "Program", "Step", "Target"]

Kind = Literal["image", "conv", "separable", "pointwise", "pool", "fully_connected", "softmax"]


@dataclass(frozen=True, slots=True)
class Target:
    """A processor, as far as the layout of data depends on it."""

    name: str
    vector: int  # floats in its widest vector
    sums: int  # vector registers that a tile's sums may take
    features: tuple[str, ...]  # that a processor must have, as Linux names them
    flags: tuple[str, ...]  # for the C compiler


@dataclass(frozen=True, slots=True)
class Buffer:
    """An array in the arena; `floats` in all. A plain array has height and width 0."""

    name: str
    floats: int
    height: int = 0
    width: int = 0
    channels: int = 0  # as they are stored


@dataclass(frozen=True, slots=True)
class Step:
    """One function of the emitted C: rows (or units) of `output` are worked out, in any number of parts."""

    kind: Kind
    name: str  # of the graph's ops, "dw1 + pw1"
    input: Buffer
    output: Buffer
    units: int  # what is divided among parts: rows of the output, panels of a classifier; 1: not divided
    shape: str  # for the comment: "112x112x32 -> 112x112x64"
    limit: int = -1  # of the activation: -1 none, 0 ReLU, 6 ReLU6
    depth: int = 0  # input channels that count
    stride: int = 1
    down: int = 0  # border rows above the image that the padding leaves out, and columns on its left
    right: int = 0
    vector: int = 0  # floats in a vector here
    lanes: int = 0  # the same for the depthwise part of a separable one
    mr: int = 1  # pixels and
    nr: int = 1  # vectors of a tile
    rows: int = 0  # of the output that are worked out together
    scratch: int = 0  # floats, for each part
    arrays: tuple[int, ...] = ()  # where its weights and biases begin in the blob, in floats


@dataclass(frozen=True, slots=True)
class Program:
    """A network as C will run it."""

    name: str
    target: Target
    steps: tuple[Step, ...]
    classes: int
