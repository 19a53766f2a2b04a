"""The base class of number formats, and the lines of C that all of them emit."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar, NamedTuple

from ...arch.fold import without_batch_norm
from ...arch.layers import Layer, layers
from ...arch.ops import OUTPUTS, Consumer, Op, Shape
from ...errors import CompileError
from ...model import Model
from ...quant.scheme import QuantModel
from ..blob import Blob
from ..program import SIZES, Buffer, Constant, Element, Kind, Step, Target, aligned
from ..tuning import NONE, Tiling, Tilings

__all__ = [
    "LIMITS",
    "Body",
    "Format",
    "add_constants",
    "bordered",
    "call",
    "change_tile",
    "limit",
    "padded",
    "parted",
    "row_groups",
]

SPARE = 0.03  # of the arena, for scratch
LIMITS = {"relu": 0, "relu6": 6, "hard_swish": -2, "hard_sigmoid": -3}  # see kernels/activate_all.c


class Body(NamedTuple):
    """The C of one kind of step: the kernels that it needs, in order, and the function that returns its lines.

    The lines read `in`, write `out`, may use `scratch`, and find weights under the names of the step's constants.
    """

    kernels: tuple[str, ...]
    lines: Callable[[Step[Any]], list[str]]


class Format(ABC):
    """A number format, applied to one model for one target.

    `lower` computes the geometry of each step; the methods here add what depends on the format: vectors and tiles,
    scratch, packed weights, and `Step.own`.
    """

    name: ClassVar[str]
    model: ClassVar[type[Model] | type[QuantModel]]  # the class of models that it compiles
    targets: ClassVar[Mapping[str, Target]]
    consumer: ClassVar[Consumer]
    bodies: ClassVar[Mapping[Kind, Body]]
    element: ClassVar[Element]  # of images in the arena
    number: ClassVar[Element] = "float"  # of weights, biases, sums and blocks that are not integers
    sums: ClassVar[Element] = "float"  # of the classifier's result
    border: ClassVar[int] = 1  # pixels around an image in the arena

    def __init__(self, model: Any, target: Target, tilings: Tilings = NONE) -> None:
        self.graph, self.target, self.blob = without_batch_norm(model.graph), target, Blob()
        self.tilings = tilings
        self.layers: Sequence[Layer] = layers(self.graph)  # the image first
        self.zero: tuple[float, ...] = ()  # the pixel of the image's border, if any

    def groups(self) -> Iterator[tuple[Layer, ...]]:
        """Yield the layers of each step: a depthwise convolution with the pointwise ones around it, others one by one.

        Raises `NetworkError` for an op that the format does not handle, `CompileError` for a network that ends in its
        maps.
        """
        self.consumer.check(self.graph.ops)
        if self.graph.network.output not in OUTPUTS:
            name = self.graph.network.name
            raise CompileError(f"{name}: a network that ends in maps (a detector) is not compiled: export it to ONNX")
        readers = [[layer.op.kind for layer in self.layers if i in layer.sources] for i in range(len(self.layers))]
        projected = [
            layer.op.kind == "depthwise" and kinds == ["pointwise"] and self.fuses(layer.op)
            for layer, kinds in zip(self.layers, readers, strict=True)
        ]
        held: list[Layer] = []
        for i, layer in enumerate(self.layers[1:], 1):
            held.append(layer)
            expanded = layer.op.kind == "pointwise" and readers[i] == ["depthwise"] and projected[i + 1]
            if not projected[i] and not (expanded and len(held) == 1 and self.expands(layer.op)):
                yield tuple(held)
                held = []

    def fuses(self, depthwise: Op) -> bool:
        """Return whether one step computes `depthwise` and the pointwise convolution behind it."""
        return True

    def expands(self, pointwise: Op) -> bool:
        """Return whether one step computes `pointwise`, the depthwise convolution behind it and its projection."""
        return False

    def kind(self, op: str) -> Kind:
        """Return the kind of step that computes `op`."""
        return Kind(op, self.name)

    def tiling(self, step: Step[Any]) -> Tiling:
        """Return how the step divides its work."""
        return self.tilings.get(step.name, Tiling())

    @property
    def code(self) -> Element:
        """Return the element that products read."""
        return self.element

    @abstractmethod
    def panel(self, group: tuple[Layer, ...]) -> tuple[int, int]:
        """Return the sums in a vector and the vectors in a panel of the weights of a product."""

    def stored(self, group: tuple[Layer, ...]) -> int:
        """Return the channels that the image of a group has in the arena."""
        vector, nr = self.panel(group)
        return padded(group[-1].op.shape_out[2], vector * nr)

    def lanes(self, channels: int) -> int:
        """Return the numbers in the widest vector that divides `channels`."""
        return next(v for v in (32, 16, 8, 4) if v <= self.target.vector and channels % v == 0)

    @cached_property
    def largest(self) -> int:
        """Return the bytes of input and output together, of the step that has most."""
        sizes = [0, *(self.picture("", group[-1].op.shape_out, self.stored(group)).size for group in self.groups())]
        return max(a + b for a, b in pairwise(sizes))

    def spare(self, step: Step[Any]) -> int:
        """Return the bytes that scratch of the step may take, such that the arena grows by little."""
        return int(self.largest * (1 + SPARE)) - aligned(step.input.size) - aligned(step.output.size)

    def picture(self, name: str, shape: Shape, channels: int) -> Buffer:
        """Return the buffer of an image of `channels` as they are stored."""
        h, w, _ = shape
        size = SIZES[self.element] * (h + 2 * self.border) * (w + 2 * self.border) * channels
        return Buffer(name, size, self.element, h, w, channels)

    def vector(self, op: Op, channels: int) -> Buffer:
        """Return the buffer of a single pixel of `channels` as its panels have them."""
        return Buffer(op.name, SIZES[self.element] * channels, self.element, channels=channels)

    def image(self, pixels: Buffer) -> list[Step[Any]]:
        """Return the step that copies the caller's pixels to the arena, if the format needs one."""
        return []

    @abstractmethod
    def convolution(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step of a full or pointwise convolution with tile, scratch and weights."""

    @abstractmethod
    def separable(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        """Return the step of a depthwise convolution and a pointwise one with tile, scratch and weights."""

    def expanded(self, step: Step[Any], group: tuple[Layer, ...]) -> Step[Any]:
        """Return the step of a depthwise convolution and the pointwise ones before it and behind it."""
        raise NotImplementedError

    @abstractmethod
    def depthwise(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step of a depthwise convolution by itself with its weights."""

    @abstractmethod
    def product(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step with the weights of a product: the classifier, or a convolution of a single pixel."""

    def pool(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step of a mean over all pixels."""
        return step

    def elementwise(self, step: Step[Any], layer: Layer) -> Step[Any]:
        """Return the step of an op that writes over its first input."""
        return step

    def output(self, step: Step[Any]) -> Step[Any]:
        """Return the step that computes the network's output from the classifier's sums."""
        return step


def padded(count: int, multiple: int) -> int:
    """Return the least multiple that is not less than `count`."""
    return -(-count // multiple) * multiple


def limit(layer: Layer) -> int:
    """Return the number of the layer's activation in `LIMITS`, -1 for none."""
    return LIMITS[layer.activation.kind] if layer.activation else -1


def change_tile(step: Step[Any], **changes: int) -> Step[Any]:
    """Return the step with `changes` of its tile."""
    return replace(step, tile=replace(step.tile, **changes))


def add_constants(step: Step[Any], *constants: Constant) -> Step[Any]:
    """Return the step with `constants` behind its own."""
    return replace(step, constants=(*step.constants, *constants))


def call(function: str, *arguments: object) -> str:
    """Return a call in C."""
    return f"{function}({', '.join(map(str, arguments))});"


def parted(step: Step[Any], *lines: str) -> list[str]:
    """Return `lines`, which compute the units `first` to `last` - 1, after the line that computes these two."""
    return [f"const int first = {step.units} * part / parts, last = {step.units} * (part + 1) / parts;", *lines]


def bordered(step: Step[Any], *lines: str, pixel: str = "NULL") -> list[str]:
    """Return `lines` as `parted` does, after a line that writes the border of the part's rows."""
    b = step.output
    return parted(step, call("border", "out", b.height, b.width, b.pixel, pixel, "first", "last"), *lines)


def row_groups(step: Step[Any], *lines: str) -> list[str]:
    """Return a loop over groups of `Tile.rows` rows, from y to end."""
    count = step.tile.rows
    return [
        f"for (int y = first; y < last; y += {count}) {{",
        f"    const int end = y + {count} < last ? y + {count} : last;",
        *(f"    {line}" for line in lines),
        "}",
    ]
