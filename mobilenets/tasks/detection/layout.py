"""Where in the body a detector listens, and the sizes that follow from the network: no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arch.graph import expand
from ...arch.network import Network
from ...errors import UsageError
from .boxes import Boxes

__all__ = ["BOXES", "PROPOSALS", "Layout", "faster_rcnn_decoding", "smallest", "ssd_decoding"]

BOXES = 100  # an image at most, as COCO's evaluation counts them
PROPOSALS = 300  # an image that Faster R-CNN looks at twice, as in the paper

_EXTRA = (512, 256, 256, 128)  # channels of the extra layers at alpha 1 (ssd_mobilenet_v1)
_LEAST_CHANNELS = 16
_SCALES = (0.2, 0.95)  # of the anchors of the first and the last map, as shares of the side (SSD, equation 4)


@dataclass(frozen=True, slots=True)
class Layout:
    """SSD's maps on a network: (height, width) and channels of each; `side` is the image's (height, width)."""

    side: tuple[int, int]
    maps: tuple[tuple[int, int], ...]
    channels: tuple[int, ...]

    @classmethod
    def of(cls, network: Network) -> "Layout":
        shapes = {op.name: op.shape_out for op in expand(network).ops}
        found = [shapes[name] for name in taps(network)]
        maps, channels = [shape[:2] for shape in found], [shape[2] for shape in found]
        for extra in _EXTRA:
            if max(maps[-1]) == 1:
                break
            maps.append((-(-maps[-1][0] // 2), -(-maps[-1][1] // 2)))
            channels.append(max(_LEAST_CHANNELS, network.scaled(extra)))
        return cls((network.height, network.width), tuple(maps), tuple(channels))


def taps(network: Network) -> tuple[str, str]:
    """The last activation before the body halves the image for the last time, and the last of all."""
    halvings = [at for at, block in enumerate(network.blocks) if block.stride == 2]
    if not halvings or halvings[-1] == 0:
        raise UsageError("a detector needs a body that halves the image after its first block")
    before, kind = halvings[-1], "conv" if network.convolution == "full" else "pw"
    last = "head" if network.head else f"{kind}{len(network.blocks)}"
    return f"{kind}{before}_act", f"{last}_act"


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


def ssd_decoding(network: Network, small: float, lite: bool) -> dict[str, object]:
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


def faster_rcnn_decoding(network: Network, small: float) -> dict[str, object]:
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
