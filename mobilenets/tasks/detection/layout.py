"""Compute the settings of a detector's head from the network and the training boxes, without torch."""

from collections.abc import Sequence

import numpy as np

from ...arch.graph import expand
from ...arch.network import Network
from ...heads import Layout, taps
from .boxes import Boxes

__all__ = ["BOXES", "PROPOSALS", "faster_rcnn_config", "smallest", "ssd_config"]

BOXES = 100  # most boxes per image, as in COCO's evaluation
PROPOSALS = 300  # proposals per image of Faster R-CNN, as in Table 13 of the MobileNet paper

_SCALES = (0.2, 0.95)  # anchor scales of the first and the last map, as shares of the side (SSD, Equation 4)


def smallest(targets: Sequence[Boxes]) -> float:
    """Return the median size of the class with the smallest boxes, as a share of the side (square root of the area)."""
    edges = np.concatenate([target.edges[~target.ignored] for target in targets])
    labels = np.concatenate([target.labels[~target.ignored] for target in targets])
    sizes = np.sqrt((edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1]))
    return min((float(np.median(sizes[labels == label])) for label in set(labels.tolist())), default=_SCALES[0])


def scales(layout: Layout, small: float) -> list[float]:
    """Return the anchor scale of each map, and one more for the last.

    The first is reduced to the data's small boxes `small`, but not below a cell of its map.
    """
    least = 1 / min(layout.maps[0])
    first = max(least, min(_SCALES[0], small))
    steps = np.linspace(*_SCALES, len(layout.maps))
    return [round(float(step), 4) for step in (first, *steps[1:], 1.0)]


def ssd_config(network: Network, small: float, lite: bool) -> dict[str, object]:
    """Return the head's settings for SSD (`heads.Ssd`), which convert its outputs to boxes."""
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
    """Return the head's settings for Faster R-CNN (`heads.FasterRcnn`), with four anchor sizes."""
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
