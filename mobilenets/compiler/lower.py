"""Graph + weights -> `Program` + the blob of packed weights, in numbered passes.

1. Fold batch norm into the convolutions (arch.fold).
2. Fold normalisation into the first convolution: bytes go in as they are.
3. Fuse each depthwise convolution with the pointwise one behind it, and every activation with its convolution.
4. Choose layouts: vectors, tiles, rows at a time.
5. Pack the weights in the order in which the tiles read them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..arch.fold import fold_batch_norm
from ..arch.graph import Graph
from ..arch.layers import Layer, layers
from ..arch.ops import CONVOLUTIONS, OUTPUTS, Consumer, Op
from ..errors import CompileError
from ..image import Preprocess
from ..model import Model
from .blob import Blob
from .pack import Array, pack_bias, pack_conv, pack_depthwise, pack_pointwise
from .program import Buffer, Kind, Program, Step, Target

__all__ = [
    "Lowered",
    "float_image",
    "float_step",
    "fused",
    "group_rows",
    "limit",
    "lower",
    "panels",
    "shape_text",
    "tile_pixels",
    "without_normalisation",
]

FLOAT = 4  # bytes
ROWS_CACHE = 32768  # bytes of depthwise rows that wait for the pointwise convolution: a first-level cache
WEIGHTS_CACHE = 262144  # bytes of weights that may be read once a group of rows: a quarter of a second-level cache
_LIMITS = {"relu": 0, "relu6": 6, "hard_swish": -2, "hard_sigmoid": -3}
FP32 = Consumer(
    "the compiler to C in fp32",
    handles="input conv depthwise pointwise relu relu6 hard_swish hard_sigmoid add multiply "
    "global_average_pool fully_connected softmax sigmoid l2_normalise".split(),
    refuses=["batch_norm"],  # it is folded before
    kernels={"conv": (3,)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations=dict.fromkeys((*CONVOLUTIONS, "add"), (None, *_LIMITS)),
)


@dataclass(frozen=True, slots=True)
class Lowered:
    """The program, its weights and what its image is bordered with."""

    program: Program
    weights: Blob
    border: tuple[float, ...]  # the pixel that normalisation makes zero, as the image holds it
    preprocess: Preprocess  # for the header, as the labels are
    labels: tuple[str, ...]


def lower(model: Model, target: Target, name: str) -> Lowered:
    """The numbered passes, in order."""
    graph, weights = fold_batch_norm(model.graph, model.weights)  # 1
    weights = without_normalisation(graph, weights, model.preprocess)  # 2
    blob = Blob()
    steps = [float_image(graph)]
    buffers = [steps[0].output]  # of each layer
    for group in fused(graph, FP32):  # 3
        steps.append(float_step(group, [buffers[i] for i in group[0].sources], weights, target, blob))  # 4, 5
        buffers += [steps[-1].output] * len(group)
    mean = np.broadcast_to(np.asarray(model.preprocess.mean, np.float32), model.network.channels)
    program = Program(name, target, tuple(steps), model.network.classes)
    border = tuple(map(float, mean))
    return Lowered(program, blob, border, model.preprocess, model.labels)


def without_normalisation(
    graph: Graph, weights: dict[str, Array], preprocess: Preprocess, rounding: Callable[[Array], Array] | None = None
) -> dict[str, Array]:
    """w (p - mean) / std + b = (w / std) p + (b - sum of w mean / std); the border is `mean`, so it holds there too.

    `rounding`: of the weights, before they go into that sum.
    """
    kernel = weights["conv0.weight"].astype(np.float64)
    std, mean = (np.broadcast_to(np.asarray(v, np.float64), kernel.shape[1]) for v in (preprocess.std, preprocess.mean))
    kernel = kernel / std[:, None, None]
    if rounding:
        kernel = rounding(kernel.astype(np.float32)).astype(np.float64)
    bias = weights["conv0.bias"] - (kernel * mean[:, None, None]).sum((1, 2, 3))
    return {**weights, "conv0.weight": kernel.astype(np.float32), "conv0.bias": bias.astype(np.float32)}


def fused(graph: Graph, consumer: Consumer, found: Sequence[Layer] = ()) -> Iterator[tuple[Layer, ...]]:
    """Yield the layers of each step: a depthwise convolution and the pointwise one behind it, and others one by one.

    `found`: the layers of the graph, the image first, where they are others than `layers` says.

    Raises `NetworkError` for an op that `consumer` does not handle, `CompileError` for a network that ends in its maps.
    """
    consumer.check(graph.ops)
    if graph.network.output not in OUTPUTS:
        raise CompileError(
            f"{graph.network.name}: a network that ends in maps (a detector) is not compiled: export it to ONNX"
        )
    found = found or layers(graph)
    readers = [[reader for reader in found if i in reader.sources] for i in range(len(found))]
    held: list[Layer] = []
    for layer, next_ones in zip(found[1:], readers[1:], strict=True):
        held.append(layer)
        if layer.op.kind != "depthwise" or [reader.op.kind for reader in next_ones] != ["pointwise"]:
            yield tuple(held)
            held = []


def limit(layer: Layer) -> int:
    """Return the number that the kernels know its activation by: 0 ReLU, 6 ReLU6, below 0 what `Step.limit` says."""
    return _LIMITS[layer.activation.kind] if layer.activation else -1


def float_image(graph: Graph) -> Step:
    h, w, c = graph.ops[0].shape_out
    image = Buffer("image", FLOAT * (h + 2) * (w + 2) * c, "float", h, w, c)
    return Step("image", "image", Buffer("pixels", 0, "uint8_t"), image, h, f"{h}x{w}x{c} bytes")


def float_step(
    group: tuple[Layer, ...], sources: Sequence[Buffer], weights: dict[str, Array], target: Target, blob: Blob
) -> Step:
    """Return the step that computes `group`, which takes `sources`."""
    ops, source = [layer.op for layer in group], sources[0]
    op = ops[-1]
    shape = f"{shape_text(ops[0].shape_in)} -> {shape_text(op.shape_out)}"
    if op.kind == "global_average_pool":
        return Step("pool", op.name, source, Buffer(op.name, FLOAT * source.channels), 1, shape)
    if op.kind in OUTPUTS:
        output = Buffer("output", 0)
        return Step(op.kind, op.name, source, output, 1, shape, depth=op.shape_out[2])  # type: ignore[arg-type]
    if op.kind in ("add", "multiply"):
        return _in_place(group[-1], sources, target)
    vector, nr, channels = panels(op.shape_out[2], target)
    step = Step(
        kind=_kind(ops, source),
        name=" + ".join(o.name for o in ops),
        input=source,
        output=Buffer(op.name, FLOAT * channels),
        units=channels // (vector * nr),
        shape=shape,
        limit=limit(group[-1]),
        first_limit=limit(group[0]),
        depth=op.shape_in[2],
        vector=vector,
        nr=nr,
    )
    if step.kind in ("fully_connected", "dense"):
        return _packed(step, op, weights, channels, blob)
    return _convolution(step, ops, weights, channels, target, blob)


def _kind(ops: Sequence[Op], source: Buffer) -> Kind:
    if len(ops) == 2:
        return "separable" if ops[0].kernel == 3 else "separable_any"
    if ops[0].kind == "pointwise" and not source.height:  # of a single pixel
        return "dense"
    return ops[0].kind  # type: ignore[return-value]


def _in_place(layer: Layer, sources: Sequence[Buffer], target: Target) -> Step:
    """An elementwise step that writes over its first input, which nobody reads again: so graphs are built."""
    image, other = sources
    lanes = _lanes(image.channels, target)
    shape = f"{shape_text(layer.op.shape_in)}, in place"
    kind: Kind = layer.op.kind  # type: ignore[assignment]
    return Step(kind, layer.name, other, image, image.height, shape, limit=limit(layer), vector=lanes)


def _lanes(channels: int, target: Target) -> int:
    """Return the floats in a vector of which `channels` are a multiple."""
    return next(v for v in (16, 8, 4) if v <= target.vector and channels % v == 0)


def _convolution(
    step: Step, ops: list[Op], weights: dict[str, Array], channels: int, target: Target, blob: Blob
) -> Step:
    """A step that writes a bordered image, row by row."""
    first, op = ops[0], ops[-1]
    h, w, _ = op.shape_out
    rows = group_rows(h, FLOAT * w * step.input.channels, FLOAT * op.shape_in[2] * channels) if len(ops) == 2 else h
    step = replace(
        step,
        output=Buffer(op.name, FLOAT * (h + 2) * (w + 2) * channels, "float", h, w, channels),
        units=h,
        stride=first.stride,
        down=1 - first.padding[0] if first.kernel == 3 else 0,
        right=1 - first.padding[1] if first.kernel == 3 else 0,
        mr=tile_pixels(rows * w if len(ops) == 2 else w, step.nr, target),
        rows=rows,
        scratch=FLOAT * rows * w * step.input.channels if len(ops) == 2 else 0,
    )
    if first.kind != "depthwise":
        return _packed(step, op, weights, channels, blob)
    stored = step.input.channels
    kernel, bias = (weights[f"{first.name}.{part}"] for part in ("weight", "bias"))
    constants = (
        blob.add("dw", "float", pack_depthwise(kernel, stored)),
        blob.add("dw_bias", "float", pack_bias(bias, stored)),
    )
    lanes = _lanes(stored, target)
    step = replace(step, constants=constants, lanes=lanes, kernel=first.kernel, padding=first.padding[:2])
    return _packed(step, op, weights, channels, blob) if len(ops) == 2 else replace(step, vector=lanes, nr=1, mr=1)


def _packed(step: Step, op: Op, weights: dict[str, Array], channels: int, blob: Blob) -> Step:
    kernel, bias = (weights[f"{op.name}.{part}"] for part in ("weight", "bias"))
    pack = pack_conv if op.kind == "conv" else pack_pointwise
    constants = (
        blob.add("w", "float", pack(kernel, channels, step.nr * step.vector)),
        blob.add("bias", "float", pack_bias(bias, channels)),
    )
    return replace(step, constants=(*step.constants, *constants))


def shape_text(shape: tuple[int, int, int]) -> str:
    return "x".join(map(str, shape))


def panels(channels: int, target: Target) -> tuple[int, int, int]:
    """(floats in a vector, vectors in a panel, channels as stored): little padding, two vectors or three a panel."""
    vector = target.vector
    while vector > 4 and channels <= vector // 2:
        vector //= 2
    count = -(-channels // vector)
    if count == 1:
        return vector, 1, vector
    if count % 2 and count % 3:
        count += 1
    return vector, 2 if count % 2 == 0 else 3, count * vector


def tile_pixels(count: int, nr: int, target: Target) -> int:
    """Pixels of a tile: as many as the registers hold, and such that few are left over.

    A tile takes a cycle for each of its vectors and one to begin; a pixel left over waits some 6 for its own sums.
    """
    most = max(1, min(target.sums // nr, 8 if nr > 1 else 16))
    return min(
        range(max(1, most // 2), most + 1), key=lambda mr: ((count // mr) * (mr * nr + 1) + (count % mr) * 6, -mr)
    )


def group_rows(height: int, row: int, weights: int) -> int:
    """Rows at a time, of so many bytes: few enough to stay in the first-level cache, all where the weights do not stay
    in the second. Where that is not far from it, a divisor of the height."""
    if weights > WEIGHTS_CACHE:
        return height
    most = max(1, min(height, ROWS_CACHE // row))
    return max((rows for rows in range((most + 1) // 2, most + 1) if height % rows == 0), default=most)
