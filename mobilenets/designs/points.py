"""Published ImageNet results from which the accuracy prior is made, each with its source and its training recipe."""

from dataclasses import dataclass

from ..arch.network import SHALLOW_BODY, Network
from ..arch.zoo import PAPER, family_of, named

__all__ = ["POINTS", "REFERENCE", "Point", "points_beside"]


@dataclass(frozen=True, slots=True)
class Point:
    """ImageNet top-1 (%) of a square network that was trained and evaluated at its own resolution."""

    network: Network
    top1: float
    recipe: str  # networks of one recipe were trained alike
    source: str


# of the recipes the one that trained most families (V1, FD, V2, V3): predictions are those of networks trained like it
REFERENCE = "imgclsmob"

_V2_README = "TF-slim, nets/mobilenet/README.md (Sandler et al. 2018)"
_V3_README = "TF-slim, nets/mobilenet/README.md (Howard et al. 2019, Table 3)"
_TIMM = "timm, results/results-imagenet.csv"

_TABLES: tuple[tuple[str, str, dict[str, float]], ...] = (
    (
        "V1 paper",
        "TF-slim, release of June 2017; the paper only plots it (Figure 4)",
        {
            **{"0.75-192": 67.4, "0.75-160": 65.2, "0.75-128": 61.8, "0.5-192": 62.1, "0.5-128": 56.2},
            **{"0.25-192": 49.0, "0.25-160": 46.0, "0.25-128": 41.3},
        },
    ),
    (
        "V2 paper",
        _V2_README,
        {
            **{"v2-1.4-224": 75.0, "v2-1.3-224": 74.4},
            **{"v2-1-224": 71.8, "v2-1-192": 70.7, "v2-1-160": 68.8, "v2-1-128": 65.3, "v2-1-96": 60.3},
            **{"v2-0.75-224": 69.8, "v2-0.75-192": 68.7, "v2-0.75-160": 66.4, "v2-0.75-128": 63.2, "v2-0.75-96": 58.8},
            **{"v2-0.5-224": 65.4, "v2-0.5-192": 63.9, "v2-0.5-160": 61.0, "v2-0.5-128": 57.7, "v2-0.5-96": 51.2},
            **{"v2-0.35-224": 60.3, "v2-0.35-192": 58.2, "v2-0.35-160": 55.7, "v2-0.35-128": 50.8, "v2-0.35-96": 45.5},
        },
    ),
    (
        "V3 paper",
        _V3_README,
        {
            **{"v3-large-1-224": 75.2, "v3-large-0.75-224": 73.3, "v3-large-minimalistic-1-224": 72.3},
            **{"v3-small-1-224": 67.5, "v3-small-0.75-224": 65.4, "v3-small-minimalistic-1-224": 61.9},
        },
    ),
    (
        REFERENCE,
        "osmr/imgclsmob, pytorch/README.md: networks that its author trained",
        {
            **{"0.25-224": 53.74, "0.5-224": 65.85, "0.75-224": 69.86, "1-224": 73.39},
            **{"fd-0.25-224": 44.14, "fd-0.5-224": 56.87, "fd-0.75-224": 61.58, "fd-1-224": 65.77},
            **{"v2-0.25-224": 51.66, "v2-0.5-224": 64.02, "v2-0.75-224": 69.83, "v2-1-224": 73.03},
            "v3-large-1-224": 75.45,
        },
    ),
    (
        "timm ra, lamb",  # RandAugment, 600 epochs or so
        _TIMM,
        {
            **{"v2-0.5-224": 65.928, "v2-1-224": 72.91, "v2-1.4-224": 76.528, "v3-large-1-224": 75.784},
            **{"v3-small-0.5-224": 57.918, "v3-small-0.75-224": 65.284, "v3-small-1-224": 67.636},
        },
    ),
    (
        "timm ra4",  # that of V4's reproduction: 2,400 to 3,600 epochs, 500 of V4 medium
        _TIMM,
        {
            **{"1-224": 75.388, "1.25-224": 76.92, "v3-large-1-224": 76.31},
            **{"v4-conv-small-0.5-224": 64.778, "v4-conv-small-1-224": 73.756, "v4-conv-small-1-256": 74.534},
            **{"v4-conv-medium-1-224": 79.092, "v4-conv-medium-1-256": 79.916},
        },
    ),
)

POINTS = (
    *(Point(row.network, row.top1, "V1 paper", f"Howard et al. 2017, {row.table}") for row in PAPER),
    *(Point(named(name), top1, recipe, source) for recipe, source, table in _TABLES for name, top1 in table.items()),
)


def points_beside(network: Network) -> list[Point]:
    """Return the points of the family of `network` by the recipe that has most of them; V1's without its variants."""
    plain = [p for p in POINTS if p.network.convolution == "separable" and p.network.blocks != SHALLOW_BODY]
    own = [point for point in plain if family_of(point.network) == family_of(network)]
    recipes = [point.recipe for point in own]
    return [point for point in own if point.recipe == max(recipes, key=recipes.count)]
