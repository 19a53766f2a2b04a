"""Define SSD (Liu et al. 2016) on a MobileNet, with torchvision's matching, box coder, losses and suppression.

The feature maps have strides 16 and 32, and up to four more come from extra layers. The predictors are 1x1
convolutions, as in the network of Table 13 of the MobileNet paper (TensorFlow's ssd_mobilenet_v1, 6.8 M parameters).
`lite` makes them and the extra layers depthwise separable (MobileNetV2, Section 6.2).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import DefaultBoxGenerator
from torchvision.models.detection.ssd import SSD, SSDScoringHead
from torchvision.ops import Conv2dNormActivation, box_iou

from ...arch.network import Network
from ...heads import Layout
from .boxes import Boxes
from .parts import Anchors, Detector, padded, sized, torch_targets

__all__ = ["SingleShot"]

Settings = dict[str, Any]
_Block = partial(Conv2dNormActivation, activation_layer=nn.ReLU6)


class SingleShot(Detector):
    """SSD: the body's layers under their own names, and `task`, torchvision's SSD, whose parts are called."""

    def __init__(self, body: nn.Module, network: Network, head_config: Settings) -> None:
        super().__init__(body)
        layout = Layout.of(network)
        self.maps = head_config["maps"]
        generator = DefaultBoxGenerator(head_config["ratios"], scales=head_config["scales"], clip=False)
        counts = [2 + 2 * len(ratios) for ratios in head_config["ratios"]]
        self.task = SSD(
            Extra(layout, head_config["lite"]),
            Anchors(generator, layout.maps, layout.side),
            layout.side,
            network.classes + 1,
            head=Heads(layout.channels, counts, network.classes + 1, head_config["lite"]),
            score_thresh=head_config["score"],
            nms_thresh=head_config["overlap"],
            detections_per_img=head_config["boxes"],
            topk_candidates=head_config["candidates"],
        )

    def raw(self, x: Tensor) -> dict[str, Tensor]:
        """Return `bbox_regression` (N, anchors, 4) and `cls_logits` (N, anchors, classes + 1), background first."""
        values = self.run(self.graph.ops[1:], x)
        found: dict[str, Tensor] = self.task.head(self.task.backbone([values[name] for name in self.maps]))
        return {name: part.float() for name, part in found.items()}

    def logits(self, x: Tensor) -> Tensor:
        """Return the outputs of `raw` concatenated: (N, anchors, 4 + classes + 1)."""
        raw = self.raw(x)
        return torch.cat([raw["bbox_regression"], raw["cls_logits"]], 2)

    def forward(self, x: Tensor) -> Tensor:
        images = sized(x)
        anchors = self.task.anchor_generator(images, [])
        return padded(self.task.postprocess_detections(self.raw(x), anchors, images.image_sizes), images)

    def losses(self, x: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """Return smooth L1 and cross-entropy with three hard negatives per box, both as means over matched boxes."""
        raw = self.raw(x)
        with torch.autocast(x.device.type, enabled=False):
            wanted = torch_targets(targets, x)
            anchors = self.task.anchor_generator(sized(x), [])
            matched = [self._matched(target["boxes"], anchors[0]) for target in wanted]
            losses: dict[str, Tensor] = self.task.compute_loss(wanted, raw, anchors, matched)
        return losses

    def _matched(self, boxes: Tensor, anchors: Tensor) -> Tensor:
        """Return the index of the matched box of each anchor, or -1: (anchors,)."""
        if not len(boxes):
            return torch.full((len(anchors),), -1, device=anchors.device)
        matched: Tensor = self.task.proposal_matcher(box_iou(boxes, anchors))
        return matched


class Extra(nn.Module):
    """Up to four layers after the body, each of stride 2, until the map is 1x1."""

    def __init__(self, layout: Layout, lite: bool) -> None:
        super().__init__()
        pairs = zip(layout.channels[1:-1], layout.channels[2:], strict=True)
        self.layers = nn.ModuleList(_halving(inputs, outputs, lite) for inputs, outputs in pairs)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        for layer in self.layers:
            maps = [*maps, layer(maps[-1])]
        return maps


def _halving(inputs: int, outputs: int, lite: bool) -> nn.Sequential:
    """Return a 1x1 convolution to half of the channels and a 3x3 one of stride 2 (lite: depthwise, then 1x1)."""
    middle = outputs // 2
    if not lite:
        return nn.Sequential(_Block(inputs, middle, 1), _Block(middle, outputs, 3, 2))
    return nn.Sequential(
        _Block(inputs, middle, 1), _Block(middle, middle, 3, 2, groups=middle), _Block(middle, outputs, 1)
    )


class Heads(nn.Module):
    """Predicts box offsets and class logits for every anchor of every map."""

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
