"""The paper's Tables 4 to 9 with what a sweep measured beside what the paper prints."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..arch.zoo import PAPER
from ..costs.peers import PEERS
from ..training.recipe import PEER_LR
from .law import Group
from .plan import PAPER_SIZES

__all__ = ["Comparison", "Key", "by_key", "link_to", "sizes_of", "tables"]

Key = tuple[str, float, int]  # variant or peer, alpha, position of the size among those of the sweep
NOTHING = "–"
COLUMNS = ("network", "top-1, %", "difference", "mult-adds, M", "params, M", "paper", "its top-1", "difference there")
_PLAIN = [("plain", alpha, 0) for alpha in (1.0, 0.75, 0.5, 0.25)]
TABLES: tuple[tuple[str, str, tuple[Key, ...]], ...] = (
    ("Table 4", "Full convolutions against depthwise separable ones.", (("conv", 1.0, 0), ("plain", 1.0, 0))),
    ("Table 5", "A thin network against a shallow one.", (("plain", 0.75, 0), ("shallow", 1.0, 0))),
    ("Table 6", "The width multiplier.", tuple(_PLAIN)),
    ("Table 7", "The resolution.", tuple(("plain", 1.0, rank) for rank in range(4))),
    (
        "Table 8",
        "Other networks of high accuracy.",
        (("plain", 1.0, 0), ("googlenet", 1.0, 0), ("vgg16", 1.0, 0)),
    ),
    (
        "Table 9",
        "Other small networks.",
        (("plain", 0.5, 2), ("squeezenet1_0", 1.0, 0), ("alexnet", 1.0, 0)),
    ),
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One table: rows of text, each with a link to its run's report."""

    title: str
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]


def tables(found: Sequence[Group]) -> list[Comparison]:
    """Return those tables of the paper of which at least two networks were trained."""
    groups, sizes = by_key(found), sizes_of(found)
    made = []
    for title, caption, keys in TABLES:
        chosen = [(key, groups[key]) for key in keys if key in groups]
        if len(chosen) > 1:
            stand = ", ".join(f"{size} for {paper}" for size, paper in zip(sizes, PAPER_SIZES, strict=False))
            here = f" Here {stand} px; top-1 is not on ImageNet." if stand else ""
            rows = tuple(_row(key, group, chosen[0]) for key, group in chosen)
            made.append(Comparison(title, f"{caption}{here}{_on_peers(chosen)}", COLUMNS, rows))
    return made


def _on_peers(chosen: Sequence[tuple[Key, Group]]) -> str:
    """Return what the caption says of torchvision's networks; nothing where there is none."""
    peers = [PEERS[group.first.family] for _, group in chosen if group.is_peer]
    if not peers:
        return ""
    plain = [peer.name for peer in peers if not peer.batch_norm]
    rate = f"; {' and '.join(plain)}, without batch norm, at {PEER_LR:g} of its learning rate" if plain else ""
    notes = "".join(f" {peer.name}: {peer.note}." for peer in peers)
    return f" Those of torchvision are trained under the same recipe, in fp32{rate}.{notes}"


def by_key(found: Sequence[Group]) -> dict[Key, Group]:
    """Return the square networks of V1 by variant, alpha and position of their size, and the peers at the first."""
    sizes = sizes_of(found)
    networks = {
        (group.first.variant, group.first.alpha, sizes.index(group.first.height)): group
        for group in found
        if group.first.family == "" and group.first.height == group.first.width
    }
    return networks | {(group.first.family, 1.0, 0): group for group in found if group.is_peer}


def sizes_of(found: Sequence[Group]) -> list[int]:
    """Return the sizes of the square networks of V1, largest first."""
    rows = (group.first for group in found)
    return sorted({row.height for row in rows if row.family == "" and row.height == row.width}, reverse=True)


def link_to(trial: str) -> str:
    """Return the address of a trial's report from that of the sweep."""
    return f"trials/{trial}/report.html"


def printed(key: Key) -> tuple[float, float, float] | None:
    """Return the paper's top-1 in %, mult-adds and parameters in millions; None for what it does not print."""
    variant, alpha, rank = key
    if variant in PEERS:
        peer = PEERS[variant]
        return peer.top1, peer.paper_mult_adds_m, peer.paper_params_m
    if rank >= len(PAPER_SIZES):
        return None
    size = PAPER_SIZES[rank]
    for row in PAPER:
        network = row.network
        plain = network.convolution == "separable" and "shallow" not in network.name
        kind = "plain" if plain else "conv" if network.convolution == "full" else "shallow"
        if (kind, network.alpha, network.height) == (variant, alpha, size):
            return row.top1, row.mult_adds_m, row.params_m
    return None


def _row(key: Key, group: Group, first: tuple[Key, Group]) -> tuple[str, tuple[str, ...]]:
    theirs, reference, row = printed(key), printed(first[0]), group.first
    difference = there = NOTHING
    if key != first[0]:
        difference = f"{group.top1 - first[1].top1:+.1f}"
        there = f"{theirs[0] - reference[0]:+.1f}" if theirs and reference else NOTHING
    cells = (
        row.network,
        accuracy(group),
        difference,
        f"{row.mult_adds / 1e6:.2f}",
        f"{row.params / 1e6:.2f}",
        f"{theirs[1]:g} M, {theirs[2]:g} M" if theirs else NOTHING,
        f"{theirs[0]:.1f}" if theirs else NOTHING,
        there,
    )
    return "" if group.is_peer else link_to(row.trial), cells


def accuracy(group: Group) -> str:
    """Return the mean top-1, with the standard deviation and the number of seeds where there are several."""
    if group.spread is None:
        return f"{group.top1:.1f}"
    return f"{group.top1:.1f} ± {group.spread:.1f} ({len(group.rows)} seeds)"
