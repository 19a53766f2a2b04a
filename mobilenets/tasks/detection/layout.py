"""Where in the body a detector listens, and the sizes that follow from the network: no torch."""

from collections.abc import Sequence

import numpy as np

from ...arch.graph import expand
from ...arch.network import Network
from ...heads import Layout, taps
from .boxes import Boxes

__all__ = ["BOXES", "PROPOSALS", "faster_rcnn_config", "smallest", "ssd_config"]

BOXES = 100  # an image at most, as COCO's evaluation counts them
PROPOSALS = 300  # an image that Faster R-CNN looks at twice, as in the paper

_SCALES = (0.2, 0.95)  # of the anchors of the first and the last map, as shares of the side (SSD, equation 4)


def smallest(targets: Sequence[Boxes]) -> float:
    """How large (as a share of the side, the root of the area) things are of the class whose things are smallest."""
    edges = np.concatenate([target.edges[~target.ignored] for target in targets])
    labels = np.concatenate([target.labels[~target.ignored] for target in targets])
    sizes = np.sqrt((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1]))
    return min((float(np.median(sizes[labels == label])) for label in set(labels.tolist())), default=_SCALES[0])


def scales(layout: Layout, small: float) -> list[float]:
    """One of the anchors of each map, and the one after the last; the first goes down to the data's small boxes, but
    not below a cell of its map."""
    least = 1 / min(layout.maps[0])
    first = max(least, min(_SCALES[0], small))
    steps = np.linspace(*_SCALES, len(layout.maps))
    return [round(float(step), 4) for step in (first, *steps[1:], 1.0)]


def ssd_config(network: Network, small: float, lite: bool) -> dict[str, object]:
    """All that makes boxes of SSD's outputs; kept in the model file."""
    layout = Layout.of(network)
    ratios = [[2.0]] + [[2.0, 3.0]] * (len(layout.maps) - 1)
    return {
        "detector": "ssd",
        "lite": lite,
        "maps": list(taps(network)),
        "scales": scales(layout, small),
        "ratios": ratios,
        "score": 0.01,
        "overlap": 0.45,
        "candidates": 400,
        "boxes": BOXES,
    }


def faster_rcnn_config(network: Network, small: float) -> dict[str, object]:
    """The same of Faster R-CNN. Anchors of four sizes, from the smallest things to most of the image."""
    maps = taps(network)[:1]
    side = min(next(op.shape_out for op in expand(network).ops if op.name == maps[0])[:2])
    sizes = np.geomspace(max(1 / (2 * side), min(_SCALES[0], small)), 0.85, 4)
    return {
        "detector": "faster-rcnn",
        "maps": list(maps),
        "sizes": [round(float(size), 4) for size in sizes],
        "ratios": [0.5, 1.0, 2.0],
        "candidates": 2 * PROPOSALS,
        "proposals": PROPOSALS,
        "proposal_overlap": 0.7,
        "cells": min(14, side),
        "score": 0.01,
        "overlap": 0.5,
        "boxes": BOXES,
    }
