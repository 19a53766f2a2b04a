"""From a chain of layers to stem, blocks, head and classifier, and to alpha.

A chain that is not a MobileNet v1 is refused at the first layer that does not fit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from ..arch.graph import expand, weight_shapes
from ..arch.network import BODY, SHALLOW_BODY, Block, Network, Rounding
from ..arch.ops import CONVOLUTIONS
from ..errors import ModelFileError
from .layers import Array, FileLayer

__all__ = ["Skeleton", "assemble", "holds_body", "widths_of"]

HEAD = 1024  # timm's, at alpha 1
MAX_ALPHA = 16  # as `Network` has it


@dataclass(frozen=True, slots=True)
class Skeleton:
    """A chain in the order of a MobileNet v1. `body` is stem, depthwise, pointwise, ..., and the head if any."""

    body: tuple[FileLayer, ...]
    classifier: FileLayer | None  # None: of a body
    left: tuple[str, ...] = ()  # layers behind a body

    @property
    def pairs(self) -> list[tuple[FileLayer, FileLayer]]:
        """Return (depthwise, pointwise) of each block."""
        return list(zip(self.body[1::2], self.body[2::2], strict=False))

    @property
    def has_head(self) -> bool:
        """Return whether a pointwise convolution follows the blocks."""
        return len(self.body) % 2 == 0

    def network(self) -> Network:
        """Return alpha, rounding, depth, strides and input channels as a network; other fields are the defaults.

        Strides that the file does not state are the paper's. Widths that follow no alpha are kept at alpha 1.
        """
        body = next((b for b in (BODY, SHALLOW_BODY) if len(b) == len(self.pairs)), None)
        strides = self._strides(body)
        base = Network(channels=weight(self.body[0]).shape[1])
        widths = [width(layer) for layer in self.body[::2]] + [width(self.body[-1])] * self.has_head
        if body and [block.stride for block in body] == strides:
            base = base.replace(blocks=body, head=HEAD if self.has_head else 0)
            for alpha, rounding in _alphas(width(self.pairs[-1][1]) / body[-1].channels):
                network = base.replace(alpha=alpha, rounding=rounding)
                if widths_of(network) == widths:
                    return network
        blocks = tuple(Block(stride, width(pw)) for stride, (_, pw) in zip(strides, self.pairs, strict=True))
        return base.replace(stem=widths[0], blocks=blocks, head=widths[-1] if self.has_head else 0)

    def check(self, network: Network) -> Network:
        """Return `network`, which the file's metadata states; raises `ModelFileError` where the layers do not
        match it.
        """
        graph = expand(network)
        shapes = weight_shapes(graph)
        wanted = [(shapes[f"{op.name}.weight"], op.stride) for op in graph.ops if op.kind in CONVOLUTIONS]
        found = [(weight(layer).shape, layer.stride) for layer in self.body]
        for number, (has, wants) in enumerate(zip_longest(found, wanted), 1):
            if has is None or wants is None or has[0] != wants[0] or has[1] not in (None, wants[1]):
                raise ModelFileError(
                    f"its metadata states the network {network.name}, but layer {number} does not match it"
                )
        return network

    def _strides(self, body: tuple[Block, ...] | None) -> list[int]:
        strides = [dw.stride if dw.stride or not body else body[i].stride for i, (dw, _) in enumerate(self.pairs)]
        known = [stride for stride in strides if stride]
        if len(known) < len(strides):
            usual = f"MobileNet v1 has {len(BODY)}, or {len(SHALLOW_BODY)} when shallow"
            raise ModelFileError(f"{len(strides)} blocks, and the file does not say their strides: {usual}")
        return known


def width(layer: FileLayer) -> int:
    """Return the number of output channels."""
    return int(weight(layer).shape[0])


def weight(layer: FileLayer) -> Array:
    """Return the weight of a layer that has one."""
    assert layer.weight is not None, layer.name
    return layer.weight


def widths_of(network: Network) -> list[int]:
    """Return the channels after the stem, each block and the head."""
    channels = [network.stem, *(block.channels for block in network.blocks), *([network.head] if network.head else [])]
    return [network.scaled(c) for c in channels]


def _alphas(about: float) -> Iterator[tuple[float, Rounding]]:
    """Yield the multipliers that could have given the last width, the paper's rounding and few digits first."""
    roundings: tuple[Rounding, ...] = ("floor", "multiple_of_8")
    for rounding in roundings:
        for digits in (1, 2, 3, 4):
            step = 10.0**-digits
            for k in range(max(1, int((about - 0.01) / step)), int((about + 0.01) / step) + 2):
                if k * step <= MAX_ALPHA:
                    yield round(k * step, digits), rounding


def assemble(layers: Sequence[FileLayer], body_only: bool = False) -> Skeleton:
    """Return the chain sorted into stem, blocks, head and classifier.

    `body_only`: the body is taken where there is no classifier or another head. Raises `ModelFileError` naming the
    first layer that MobileNet v1 does not have there.
    """
    body: list[FileLayer] = []
    classifier: FileLayer | None = None
    pooled = False
    for number, layer in enumerate(layers, 1):
        problem = _problem(body, layer, pooled, classifier is not None)
        if problem and body_only and _whole(body, pooled or classifier is not None):
            return Skeleton(tuple(body), None, tuple(left.name for left in layers[len(body) :] if left.kind != "pool"))
        if problem:
            raise ModelFileError(f"layer {number}, {layer.name}: {problem}; it is not a MobileNet v1 from there on")
        if layer.kind == "pool":
            pooled = True
        elif pooled or layer.kind == "fully_connected":
            classifier = replace(layer, weight=weight(layer).reshape(weight(layer).shape[:2]))
        else:
            body.append(layer)
    if len(body) < 3:
        raise ModelFileError(f"only {len(body)} convolutions before the classifier: a MobileNet v1 has at least 3")
    if classifier is None and not (body_only and _whole(body, pooled)):
        raise ModelFileError(
            f"it ends with {body[-1].name}, before the classifier: give the file with the classifier as well; "
            "train --pretrained takes a body as it is"
        )
    return Skeleton(tuple(body), classifier)


def holds_body(layers: Sequence[FileLayer]) -> bool:
    """Return whether the chain begins with all blocks of a MobileNet v1."""
    try:
        return bool(assemble(layers, body_only=True))
    except ModelFileError:
        return False


def _whole(body: Sequence[FileLayer], pooled: bool) -> bool:
    """Return whether all blocks are present: a pool follows, or there are as many as in a published network."""
    blocks = (len(body) - 1) // 2
    return _incomplete(body, "") is None and (pooled or blocks in (len(BODY), len(SHALLOW_BODY)))


def _problem(body: Sequence[FileLayer], layer: FileLayer, pooled: bool, classified: bool) -> str | None:
    """Return why `layer` cannot follow `body`; None where it can."""
    if layer.kind == "pool":
        return _incomplete(body, "a pool")
    if classified:
        return f"{_named(layer)} after the classifier"
    if body and (problem := _width_problem(body[-1], layer)):
        return problem
    if pooled or layer.kind == "fully_connected":
        return _classifier_problem(body, layer)
    return _order_problem(body, layer)


def _width_problem(before: FileLayer, layer: FileLayer) -> str | None:
    has = width(before)
    takes = weight(layer).shape[0] if layer.kind == "depthwise" else weight(layer).shape[1]
    return None if has == takes else f"it takes {takes} channels, but {before.name} gives {has}"


def _classifier_problem(body: Sequence[FileLayer], layer: FileLayer) -> str | None:
    if layer.kind not in ("pointwise", "fully_connected"):
        return f"{_named(layer)} where the classifier should be"
    if problem := _incomplete(body, _named(layer)):
        return problem
    if layer.norm is not None or layer.activation not in (None, "none"):
        return "a classifier with a batch norm or an activation"
    return None


def _incomplete(body: Sequence[FileLayer], what: str) -> str | None:
    complete = len(body) >= 3 and body[-1].kind == "pointwise"
    return None if complete else f"{what} before a block is complete"


def _order_problem(body: Sequence[FileLayer], layer: FileLayer) -> str | None:
    if not body:
        fits = layer.kind == "conv" and weight(layer).shape[1] in (1, 3) and layer.stride in (None, 2)
        return None if fits else f"{_named(layer)}: first comes a 3x3 convolution of 1 or 3 channels with stride 2"
    if len(body) % 2 == 0 and body[-1].kind == "pointwise":
        return f"{_named(layer)} after the head"
    depthwise = layer.kind == "depthwise" or weight(layer).shape == (1, 1, 3, 3)  # of one channel it is a full one, too
    if depthwise and weight(layer).shape[2] == 3 and len(body) % 2 and layer.stride in (None, 1, 2):
        return None
    after_depthwise = len(body) % 2 == 0
    if layer.kind == "pointwise" and layer.stride in (None, 1) and (after_depthwise or len(body) >= 3):
        return None  # after a pointwise one it is the head
    return f"{_named(layer)}: depthwise and pointwise convolutions must alternate"


def _named(layer: FileLayer) -> str:
    kernel = "x".join(map(str, weight(layer).shape[2:]))
    kind = {"conv": f"a full {kernel} convolution", "fully_connected": "a fully connected layer"}
    stride = f" with stride {layer.stride}" if layer.stride not in (None, 1) else ""
    channels = f" of {weight(layer).shape[1]} channels" if layer.kind == "conv" else ""
    return kind.get(layer.kind, f"a {layer.kind} convolution") + channels + stride
