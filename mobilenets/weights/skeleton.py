"""From the layers of a file to stem, blocks, head and classifier, each under the name of its op.

Layers that are no MobileNet are refused at the first that does not fit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..arch.graph import Graph, expand, weight_shapes
from ..arch.layers import layers as layers_of
from ..arch.network import BODY, SHALLOW_BODY, Block, Network
from ..arch.ops import CONVOLUTIONS, OPS, Op
from ..arch.zoo import FAMILIES
from ..errors import ModelFileError, NetworkError
from .blocks import Parser
from .layers import FileLayer, unfolded_gates, weight, width
from .naming import explicit, named
from .tokens import is_stem

__all__ = ["Skeleton", "assemble", "holds_body"]

V1_DEPTHS = {len(blocks): blocks for blocks in (BODY, SHALLOW_BODY)}


@dataclass(frozen=True, slots=True)
class Skeleton:
    """The layers of a file by the name of their op, and the network of which they are; its size, padding and epsilon
    are the defaults.
    """

    network: Network
    layers: Mapping[str, FileLayer]
    activation: str | None  # None: the file does not state it
    left: tuple[str, ...] = ()  # layers behind a body
    table: str = ""  # the family whose table states what the file does not

    @property
    def body(self) -> dict[str, FileLayer]:
        """Return the convolutions from the stem to the head, without those of the gates."""
        behind = ("hidden", "fc")
        found = {name: layer for name, layer in self.layers.items() if layer.weight is not None and name not in behind}
        return {name: layer for name, layer in found.items() if not name.startswith("gate")}

    @property
    def normalised(self) -> list[FileLayer]:
        """Return the layers that have a batch norm in the network."""
        return [*self.body.values(), *([self.layers["hidden"]] if self.network.hidden_norm else [])]

    @property
    def classifier(self) -> FileLayer | None:
        """Return the classifier; None for a body."""
        layer = self.layers.get("fc")
        return layer and replace(layer, weight=weight(layer).reshape(weight(layer).shape[:2]))


def assemble(layers: Sequence[FileLayer], body_only: bool = False, stated: Network | None = None) -> Skeleton:
    """Return the layers by the name of their op.

    `body_only`: the body is taken where there is no classifier or another head. `stated` is the network that the file's
    metadata states. Raises `ModelFileError` naming the first layer that does not fit.
    """
    layers = unfolded_gates(layers)
    if stated and layers and not any(layer.activation for layer in layers):
        return Skeleton(stated, _of_network(layers, stated), stated.activation)
    if not stated and (found := _of_table(layers, body_only)):
        return found
    parser = Parser(layers)
    try:
        parser.parse()
    except ModelFileError:
        if not (body_only and parser.whole):
            raise
    if stated:
        return Skeleton(stated, _of_network(layers, stated), stated.activation)
    network = explicit(parser.network(_usual(parser)))
    _verify(network, parser.found)
    activation = parser.layers[0].activation
    return Skeleton(named(network), parser.found, activation, () if "fc" in parser.found else parser.left)


def _usual(parser: Parser) -> tuple[Block, ...] | None:
    """Return the blocks whose strides a file has that states none: V1's, or FD-MobileNet's where the widths are its."""
    fast = FAMILIES["fd"].blocks
    if len(parser.blocks) == len(fast) and named(explicit(parser.network(fast))).blocks == fast:
        return fast
    return V1_DEPTHS.get(len(parser.blocks))


def holds_body(layers: Sequence[FileLayer]) -> bool:
    """Return whether the layers begin with all blocks of a MobileNet."""
    try:
        return bool(assemble(layers, body_only=True))
    except (ModelFileError, NetworkError):
        return False


def _verify(network: Network, found: Mapping[str, FileLayer]) -> None:
    """Raise `ModelFileError` for a layer that the network has not, or has with other weights."""
    graph = expand(network)
    ops, shapes = {layer.op.name: layer.op for layer in layers_of(graph)}, weight_shapes(graph)
    for number, (name, layer) in enumerate(found.items(), 1):
        if name != "fc" and (name not in ops or not _fits(layer, ops[name], shapes.get(f"{name}.weight"))):
            raise ModelFileError(f"layer {number}, {layer.name}: no MobileNet has such a layer there")


def _of_network(layers: Sequence[FileLayer], network: Network) -> dict[str, FileLayer]:
    """Return the layers by the ops of `network`; layers without weights may be left out."""
    graph = expand(network)
    shapes = weight_shapes(graph)
    found: dict[str, FileLayer] = {}
    rest = iter(layers)
    layer = next(rest, None)
    for number, op in enumerate((layer.op for layer in layers_of(graph)[1:] if OPS[layer.op.kind].role != "output"), 1):
        weightless = f"{op.name}.weight" not in shapes
        if layer is not None and _fits(layer, op, shapes.get(f"{op.name}.weight")):
            found[op.name], layer = layer, next(rest, None)
        elif not weightless or (layer is not None and layer.weight is None):
            raise ModelFileError(
                f"its metadata states the network {network.name}, but layer {number} does not match it"
            )
    if layer is not None:
        raise ModelFileError(f"its metadata states the network {network.name}, but {layer.name} follows it")
    return found


def _fits(layer: FileLayer, op: Op, shape: tuple[int, ...] | None) -> bool:
    if shape is None or layer.weight is None:
        return (
            shape is None
            and layer.weight is None
            and layer.kind == {"global_average_pool": "pool"}.get(op.kind, op.kind)
        )
    if op.name == "fc":  # of any number of classes
        return _flat(layer.weight.shape)[1:] == shape[1:]
    same = layer.weight.shape == shape or (op.kind != "depthwise" and _flat(layer.weight.shape) == _flat(shape))
    return same and layer.stride in (None, op.stride)


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return (out, in) of a matrix, or of a 1x1 convolution."""
    return shape[:2] if shape[2:] in ((), (1, 1)) else shape


def _of_table(layers: Sequence[FileLayer], body_only: bool) -> Skeleton | None:
    """Return the layers of a file that states kernels alone (PyTorch's state dicts) by the table of the family whose
    kernels they have; None for V1, whose layers alternate, and for other files.
    """
    held = [layer for layer in layers if layer.weight is not None]
    if not held or not is_stem(held[0]) or any(layer.activation or layer.takes for layer in layers):
        return None
    for name, family in FAMILIES.items():
        kinds = _kinds(expand(family.replace(channels=weight(held[0]).shape[1])))
        for kept in [kinds, {n: kinds[n] for n in kinds if n not in ("hidden", "fc")}] if body_only else [kinds]:
            wanted, found = list(kept.values()), [_kind(layer) for layer in held[: len(kept)]]
            if name not in ("", "fd") and found == wanted and (kept is not kinds or len(held) == len(kinds)):
                left = tuple(layer.name for layer in held[len(kept) :])
                return _completed(name, family, dict(zip(kept, held, strict=False)), left)
    return None


def _completed(name: str, family: Network, found: dict[str, FileLayer], left: tuple[str, ...]) -> Skeleton:
    norm = "hidden" in found and found["hidden"].norm is not None
    kept = family.replace(channels=weight(found["conv0"]).shape[1], hidden=family.hidden if "hidden" in found else 0)
    kept = kept.replace(hidden_norm=norm)
    network = explicit(kept, {op: width(layer) for op, layer in found.items()})
    _verify(network, found)
    return Skeleton(named(network), found, network.activation, left, name)


def _kinds(graph: Graph) -> dict[str, tuple[int, bool]]:
    """Return (kernel, whether it is depthwise) of each layer with weights."""
    kinds = (*CONVOLUTIONS, "fully_connected")
    return {op.name: (op.kernel, op.kind == "depthwise") for op in graph.ops if op.kind in kinds}


def _kind(layer: FileLayer) -> tuple[int, bool]:
    return (weight(layer).shape[2] if weight(layer).ndim == 4 else 1), layer.kind == "depthwise"
