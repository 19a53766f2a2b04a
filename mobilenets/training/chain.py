"""What the kernels in C compute of a network: its layers below the last pool, as a chain."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..arch.graph import Graph
from ..arch.layers import Layer, layers
from ..arch.ops import CONVOLUTIONS, Consumer

__all__ = ["BETWEEN", "Link", "chain", "slots", "target"]

BETWEEN = 2  # the slot of gradients of what sums take
ACTIVATIONS = ("relu", "relu6", "hard_swish")
TRAINING_IN_C = Consumer(
    "training in C",
    handles=[*"input batch_norm add multiply hard_sigmoid global_average_pool".split(), *CONVOLUTIONS, *ACTIVATIONS],
    refuses="fully_connected softmax sigmoid l2_normalise".split(),  # torch computes them
    kernels={"conv": (3,), "depthwise": (3, 5)},
    strides={"conv": (1, 2), "depthwise": (1, 2), "pointwise": (1,)},
    activations={
        **dict.fromkeys(CONVOLUTIONS, (None, *ACTIVATIONS)),
        "pointwise": (None, *ACTIVATIONS, "hard_sigmoid"),
    },
)
_GATE = ("global_average_pool", "pointwise", "pointwise", "multiply")


@dataclass(frozen=True, slots=True)
class Link:
    """A layer of the chain, or the four layers of a gate; `sources` are positions in the chain, -1 is the image."""

    layers: tuple[Layer, ...]
    sources: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Return the kind of op; of a gate "multiply"."""
        return self.layers[-1].op.kind


def chain(graph: Graph) -> tuple[Link, ...]:
    """Return the links below the last pool; none where the kernels do not compute all of them."""
    found = layers(graph)
    pools = [i for i, layer in enumerate(found) if layer.op.kind == "global_average_pool"]
    below = found[: pools[-1]] if pools else ()
    if not TRAINING_IN_C.handled([op for layer in below for op in layer.ops]):
        return ()
    links = _links(below)
    if links and links[-1].kind in CONVOLUTIONS and all(_takes(links, i) for i in range(len(links))) and slots(links):
        return tuple(links)
    return ()


def _links(found: Sequence[Layer]) -> list[Link]:
    """Return the links after the image; a pool that does not begin a gate becomes one that no kernel takes."""
    links: list[Link] = []
    position = {0: -1}  # of a layer -> of the link with its output
    i = 1
    while i < len(found):
        group = found[i : i + 4] if _is_gate(found, i) else found[i : i + 1]
        links.append(Link(tuple(group), tuple(position.get(source, -2) for source in group[0].sources)))
        i += len(group)
        position[i - 1] = len(links) - 1
    return links


def _is_gate(found: Sequence[Layer], i: int) -> bool:
    """Return whether four layers are the gate of the layer before them."""
    group = found[i : i + 4]
    if tuple(layer.op.kind for layer in group) != _GATE or group[0].sources != (i - 1,):
        return False
    between = [layer.activation.kind if layer.activation else "" for layer in group]
    chained = group[1].sources == (i,) and group[2].sources == (i + 1,) and group[3].sources == (i - 1, i + 2)
    return chained and between == ["", "relu", "hard_sigmoid", ""] and group[1].op.bias and group[2].op.bias


def _takes(links: Sequence[Link], position: int) -> bool:
    """Return whether the kernels compute a link; each takes the output of the one before it.

    A sum's first operand is a linear convolution that nothing else reads, its other one an earlier output. What a gate
    gives is read by a pointwise convolution alone.
    """
    link = links[position]
    layer, kinds = link.layers[0], [reader.kind for reader in links for source in reader.sources if source == position]
    sums = kinds.count("add")
    if link.sources[0] != position - 1 or sums > 1 or len(kinds) > sums + 1:
        return False
    if link.kind == "multiply":
        return (
            len(link.layers) == 4
            and position > 1
            and links[position - 1].kind == "depthwise"
            and kinds == ["pointwise"]
        )
    if link.kind == "add":
        own = links[position - 1]
        linear = own.kind in CONVOLUTIONS and own.layers[0].activation is None and layer.activation is None
        return linear and links[link.sources[1]].kind != "multiply"
    if layer.norm is None or layer.op.bias or (layer.activation and layer.activation.kind not in ACTIVATIONS):
        return False
    if layer.op.kind == "pointwise":
        return position > 0 and not any(layer.op.padding)
    return layer.op.kind == ("depthwise" if position else "conv")


def target(links: Sequence[Link], position: int) -> int:
    """Return the convolution to which the gradient of an output goes: of a sum and of a gate, the one before it."""
    return position - (links[position].kind not in CONVOLUTIONS)


def slots(links: Sequence[Link]) -> list[int]:
    """Return the memory of each link's gradient, another one than that of the link below; none where that fails.

    What sums take lies in one place: the gradient of a sum is passed on to both, to the second by adding to it.
    """
    between = {target(links, source) for link in links if link.kind == "add" for source in link.sources}
    found: list[int] = []
    for position, link in enumerate(links):
        below = found[target(links, position - 1)] if position else BETWEEN
        if link.kind not in CONVOLUTIONS:
            found.append(found[-1])
        elif position in between:
            if position and below == BETWEEN:
                return []
            found.append(BETWEEN)
        else:
            found.append(1 - below if below != BETWEEN else 0)
    return found
