"""SSD (Liu et al. 2016) on a MobileNet: torchvision's matching, box coder, losses and suppression.

Maps are taken where the body has halved the image four and five times, and after up to four extra layers. The
predictors are 1x1 convolutions, as in the network that the paper measured (TensorFlow's ssd_mobilenet_v1: Table 13's
6.8 M parameters are theirs); `lite` makes them and the extra layers depthwise separable (MobileNetV2, section 6.2).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.ssd import SSD, SSDScoringHead
from torchvision.ops import Conv2dNormActivation, box_iou

from ...arch.graph import Graph
from ...arch.network import Network
from .boxes import Boxes
from .layout import BOXES, Layout

__all__ = ["Anchors", "SingleShot", "padded", "torch_targets"]

Settings = dict[str, Any]
_Block = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)


class SingleShot(nn.Module):
    """The body's layers under their own names, and `task`: torchvision's SSD, of which the parts are called.

    (N, C, H, W) -> (N, BOXES, 6): left, top, right, bottom as fractions, score, class; -1 where there is no box.
    """

    def __init__(self, body: nn.Module, network: Network, decoding: Settings) -> None:
        super().__init__()
        self.graph: Graph = body.graph  # type: ignore[assignment]
        for name, layer in body.named_children():
            self.add_module(name, layer)
        layout = Layout.of(network)
        self.taps = decoding["maps"]
        anchors = Anchors(
            DefaultBoxGenerator(decoding["ratios"], scales=decoding["scales"], clip=False), layout.maps, layout.side
        )
        counts = [2 + 2 * len(ratios) for ratios in decoding["ratios"]]
        self.task = SSD(
            Extra(layout, decoding["lite"]),
            anchors,
            layout.side,
            network.classes + 1,
            head=Heads(layout.channels, counts, network.classes + 1, decoding["lite"]),
            score_thresh=decoding["score"],
            nms_thresh=decoding["overlap"],
            detections_per_img=BOXES,
            topk_candidates=decoding["candidates"],
        )

    def raw(self, x: Tensor) -> dict[str, Tensor]:
        """`bbox_regression` (N, anchors, 4) and `cls_logits` (N, anchors, classes + 1), background first."""
        maps = []
        for op in self.graph.ops[1:]:
            x = getattr(self, op.name)(x)
            if op.name in self.taps:
                maps.append(x)
        found: dict[str, Tensor] = self.task.head(self.task.backbone(maps))
        return found

    def logits(self, x: Tensor) -> Tensor:
        """(N, anchors, 4 + classes + 1): `raw`, side by side."""
        raw = self.raw(x)
        return torch.cat([raw["bbox_regression"], raw["cls_logits"]], 2)

    def forward(self, x: Tensor) -> Tensor:
        raw = {name: part.float() for name, part in self.raw(x).items()}
        anchors = self.task.anchor_generator(None, x)
        found = self.task.postprocess_detections(raw, anchors, [x.shape[-2:]] * len(x))
        return padded(found, x.shape[-1], x.shape[-2])

    def losses(self, x: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """Smooth L1 of the matched boxes and cross-entropy with three hard negatives a box, each over the boxes."""
        raw = {name: part.float() for name, part in self.raw(x).items()}
        with torch.autocast(x.device.type, enabled=False):
            wanted = torch_targets(targets, x)
            anchors = self.task.anchor_generator(None, x)
            matched = [self._matched(target["boxes"], anchors[0]) for target in wanted]
            losses: dict[str, Tensor] = self.task.compute_loss(wanted, raw, anchors, matched)
        return losses

    def _matched(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """(anchors,): each one's box, or -1."""
        if not len(boxes):
            return torch.full((len(anchors),), -1, device=anchors.device)
        matched: Tensor = self.task.proposal_matcher(box_iou(boxes, anchors))
        return matched


class Anchors(nn.Module):
    """What torchvision's generator makes for maps of these sizes: (anchors, 4) in pixels, kept with the weights."""

    def __init__(self, generator: nn.Module, maps: Sequence[tuple[int, int]], side: tuple[int, int]) -> None:
        super().__init__()
        images = ImageList(torch.zeros(1, 3, *side), [side])
        boxes = generator(images, [torch.zeros(1, 1, *size) for size in maps])[0]
        self.boxes = nn.Parameter(boxes, requires_grad=False)

    def forward(self, images: Any, features: Any) -> list[Tensor]:
        """The same for each image."""
        return [self.boxes.data] * len(features)


class Extra(nn.Module):
    """Four layers after the body, or fewer where a map has come down to 1x1: each halves the map."""

    def __init__(self, layout: Layout, lite: bool) -> None:
        super().__init__()
        pairs = zip(layout.channels[1:-1], layout.channels[2:], strict=True)
        self.layers = nn.ModuleList(_halving(inputs, outputs, lite) for inputs, outputs in pairs)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        for layer in self.layers:
            maps = [*maps, layer(maps[-1])]
        return maps


def _halving(inputs: int, outputs: int, lite: bool) -> nn.Sequential:
    """A 1x1 convolution to half of the channels, a 3x3 one of stride 2 (lite: depthwise, then 1x1)."""
    middle = outputs // 2
    if not lite:
        return nn.Sequential(_Block(inputs, middle, 1), _Block(middle, outputs, 3, 2))
    return nn.Sequential(
        _Block(inputs, middle, 1), _Block(middle, middle, 3, 2, groups=middle), _Block(middle, outputs, 1)
    )


class Heads(nn.Module):
    """For every anchor of every map the offsets of a box and the logits of its class."""

    def __init__(self, channels: Sequence[int], counts: Sequence[int], classes: int, lite: bool) -> None:
        super().__init__()
        self.classification_head = _head(channels, counts, classes, lite)
        self.regression_head = _head(channels, counts, 4, lite)

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        return {"bbox_regression": self.regression_head(maps), "cls_logits": self.classification_head(maps)}


def _head(channels: Sequence[int], counts: Sequence[int], columns: int, lite: bool) -> SSDScoringHead:
    layers = [_predictor(c, count * columns, lite) for c, count in zip(channels, counts, strict=True)]
    return SSDScoringHead(nn.ModuleList(layers), columns)


def _predictor(channels: int, outputs: int, lite: bool) -> nn.Module:
    if not lite:
        return nn.Conv2d(channels, outputs, 1)
    return nn.Sequential(_Block(channels, channels, 3, groups=channels), nn.Conv2d(channels, outputs, 1))


def torch_targets(targets: Sequence[Boxes], x: Tensor) -> list[dict[str, Tensor]]:
    """As torchvision takes them: boxes in pixels of `x`, classes from 1; without those that are to be ignored."""
    scale = np.array([x.shape[-1], x.shape[-2]] * 2, np.float32)
    return [
        {
            "boxes": torch.from_numpy(target.edges[~target.ignored] * scale).to(x.device),
            "labels": torch.from_numpy(target.labels[~target.ignored] + 1).to(x.device),
        }
        for target in targets
    ]


def padded(found: Sequence[dict[str, Tensor]], width: int, height: int) -> Tensor:
    """What torchvision found in each image as one tensor (N, BOXES, 6), see `SingleShot`."""
    table = torch.full((len(found), BOXES, 6), -1.0)
    for i, one in enumerate(found):
        boxes, scores, labels = (one[name].detach().cpu() for name in ("boxes", "scores", "labels"))
        table[i, : len(boxes), :4] = boxes / torch.tensor([width, height] * 2)
        table[i, : len(boxes), 4], table[i, : len(boxes), 5] = scores, labels - 1
    return table
