"""Table 13: costs of the paper's detectors, counted from the networks that `--task detect` trains, with its figures.

Counted as in `cost.peers`: two operations per mult-add, convolutions and matrix products only, on torch's "meta"
device.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..arch.graph import expand
from ..arch.network import Network
from ..tasks.detection.faster_rcnn import TwoStage
from ..tasks.detection.layout import PROPOSALS, faster_rcnn_config, ssd_config
from ..tasks.detection.ssd import SingleShot
from .module import MobileNet

__all__ = ["Detector", "count_detectors"]

CLASSES = 90  # COCO's numbers go up to 90 for its 80 classes; TensorFlow's networks, the paper's, have them all
SMALL = 0.1  # the least anchor, as a share of the side, in ssd_mobilenet_v1

NOTES = {
    "ssd": "four anchors a cell of the first map, the paper's network (TensorFlow's ssd_mobilenet_v1) has three",
    "ssdlite": "not in the paper: --lite",
    "faster-rcnn": "the body's last two blocks once for each of 300 proposals; cutting regions out is not counted",
}


@dataclass(frozen=True, slots=True)
class Detector:
    """Costs counted at 90 classes, and the paper's figures (None: not printed)."""

    name: str
    mult_adds: int
    params: int
    map_printed: float | None  # COCO, %
    paper_mult_adds_g: float | None
    paper_params_m: float | None
    note: str


def count_detectors() -> tuple[Detector, ...]:
    """Return the rows of MobileNet 1.0 and SSDLite (Table 13), counted."""
    rows: tuple[tuple[str, str, int, float | None, float | None, float | None], ...] = (
        ("SSD 300", "ssd", 300, 19.3, 1.2, 6.8),
        ("SSDLite 300", "ssdlite", 300, None, None, None),
        ("Faster R-CNN 300", "faster-rcnn", 300, 16.4, 25.2, 6.1),
        ("Faster R-CNN 600", "faster-rcnn", 600, 19.8, 30.5, 6.1),
    )
    return tuple(
        Detector(name, *_count(kind, side), score, mult_adds, params, NOTES[kind])
        for name, kind, side, score, mult_adds, params in rows
    )


def _count(kind: str, side: int) -> tuple[int, int]:
    """Return mult-adds and parameters of a detector on the paper's body."""
    network = Network(height=side, width=side, classes=CLASSES, output="features")
    body = MobileNet(expand(network))
    module: Any = (
        TwoStage(body, network, faster_rcnn_config(network, SMALL))
        if kind == "faster-rcnn"
        else SingleShot(body, network, ssd_config(network, SMALL, kind == "ssdlite"))
    )
    module = module.to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        _run(module, torch.empty(1, 3, side, side, device="meta"))
    return counter.get_total_flops() // 2, sum(p.numel() for p in module.parameters() if p.requires_grad)


def _run(module: Any, x: torch.Tensor) -> None:
    """Run all layers; the steps between them (anchors, suppression, region cropping) have no mult-adds."""
    module.logits(x)
    if isinstance(module, TwoStage):
        heads: Any = module.task.roi_heads
        shape = PROPOSALS, module.first[-1].shape_out[2], *heads.box_roi_pool.output_size
        heads.box_predictor(heads.box_head(torch.empty(shape, device="meta")))
