"""From the widths of a network to the family and the alpha that give them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

from ..arch.graph import expand
from ..arch.network import SHALLOW_BODY, Block, Network, Rounding
from ..arch.ops import CONVOLUTIONS
from ..arch.zoo import FAMILIES

__all__ = ["explicit", "named"]

HEAD = 1024  # of V1 with a head at alpha 1: timm's
MAX_ALPHA = 16  # as `Network` has it
MOST_TRIES = 64
USUAL = (1.0, 0.75, 0.5, 0.35, 0.25, 1.25, 1.3, 1.4, 1.5, 2.0)  # several may give the same widths
_V1 = {"": FAMILIES[""], "shallow": FAMILIES[""].replace(blocks=SHALLOW_BODY), "fd": FAMILIES["fd"]}
# how libraries scale the layers around the blocks of V3: TF-slim and timm, Keras, torchvision; timm above alpha 1
_SCALINGS: tuple[dict[str, Any], ...] = (
    {},
    {"stem_scaling": "none"},
    {"stem_scaling": "alpha", "expansion_scaling": "alpha", "hidden_scaling": "alpha"},
    {"hidden_scaling": "none"},
)


def explicit(network: Network, widths: Mapping[str, int] | None = None) -> Network:
    """Return `network` at alpha 1, each width as it is, or that which `widths` gives to the convolution of that name.

    Equal networks have equal structures and widths.
    """
    graph = expand(network.replace(height=32, width=32))
    names = {op.name for op in graph.ops}
    given = widths or {op.name: op.shape_out[2] for op in graph.ops if op.kind in CONVOLUTIONS}
    blocks = []
    for i, block in enumerate(network.blocks, 1):
        inner = [given[name] for name in (f"dw{i}", f"ex{i}", f"conv{i}") if name in names]
        blocks.append(
            replace(
                block,
                channels=given[f"pw{i}" if f"pw{i}" in names else f"conv{i}"],
                expansion=inner[0] if block.expansion else 0,
                gate=given[f"gate{i}_squeeze"] if block.gate else 0,
                residual=block.residual if widths else f"add{i}" in names,
                activation=None if block.activation == network.activation else block.activation,
            )
        )
    found = Network(
        channels=network.channels,
        stem=given["conv0"],
        blocks=tuple(blocks),
        head=given["head"] if network.head else 0,
        hidden=given.get("hidden", 0),
        hidden_norm=network.hidden_norm,
        activation=network.activation,
    )
    return explicit(found) if widths else found


def named(network: Network) -> Network:
    """Return the network of a family and an alpha that has the structure and widths of `network`, which is explicit;
    `network` itself where there is none.
    """
    families = _V1 | {name: family for name, family in FAMILIES.items() if name not in _V1}
    for name, family in families.items():
        kept = {field: getattr(network, field) for field in ("channels", "activation", "hidden_norm")}
        head = HEAD if name in _V1 else family.head
        family = family.replace(**kept, head=head if network.head else 0, hidden=family.hidden if network.hidden else 0)
        if _structure(family) == _structure(network):
            for candidate in islice(_candidates(family, network, name in _V1), MOST_TRIES):
                if explicit(candidate) == network:
                    return candidate
    return network


def _widths(network: Network) -> list[int]:
    """Return the channels after each block."""
    return [network.scaled(block.channels) for block in network.blocks]


def _structure(network: Network) -> list[Block]:
    return [
        replace(
            block,
            channels=1,
            expansion=min(block.expansion, 1),
            gate=min(block.gate, 1),
            residual=False,
            activation=block.activation or network.activation,
        )
        for block in network.blocks
    ]


def _candidates(family: Network, network: Network, floor: bool) -> Iterator[Network]:
    """Yield the networks of `family` whose stem and blocks have the widths of `network`."""
    roundings: tuple[Rounding, ...] = ("floor", "multiple_of_8") if floor else ("multiple_of_8",)
    wanted = _widths(network)
    for rounding in roundings:
        for alpha in _alphas(wanted[-1] / family.blocks[-1].channels, 8 / family.blocks[-1].channels):
            candidate = family.replace(alpha=alpha, rounding=rounding)
            if _widths(candidate) == wanted:
                for scaling in _SCALINGS[:1] if floor else _SCALINGS:
                    scaled = candidate.replace(**scaling)
                    if scaled.scaled(scaled.stem, scaled.stem_scaling) == network.stem:
                        yield scaled


def _alphas(about: float, within: float) -> Iterator[float]:
    """Yield the multipliers near `about`, usual ones and those of few digits first."""
    within = max(within, 0.01)
    yield from (alpha for alpha in USUAL if abs(alpha - about) <= within)
    for digits in (1, 2, 3, 4):
        step = 10.0**-digits
        for k in range(max(1, int((about - within) / step)), int((about + within) / step) + 2):
            if k * step <= MAX_ALPHA:
                yield round(k * step, digits)
