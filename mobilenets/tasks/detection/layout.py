"""Where in the body a detector listens, and the sizes that follow from the network: no torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...arch.graph import expand
from ...arch.network import Network
from ...errors import UsageError
from .boxes import Boxes

__all__ = ["BOXES", "Layout", "scales", "smallest", "ssd_decoding", "taps"]

BOXES = 100  # an image at most, as COCO's evaluation counts them

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
    """A size (share of the side) that nine of ten boxes have: the root of their area."""
    edges = np.concatenate([target.edges[~target.ignored] for target in targets])
    areas = (edges[:, 2] - edges[:, 0]) * (edges[:, 3] - edges[:, 1])
    return float(np.quantile(np.sqrt(areas), 0.1)) if len(areas) else _SCALES[0]


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
