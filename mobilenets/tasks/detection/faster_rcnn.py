"""Define Faster R-CNN (Ren et al. 2015) on a MobileNet, with torchvision's proposals, region heads and losses.

Proposals are computed from the feature map of stride 16. The remaining layers of the body run once per proposal, on
14 x 14 cells pooled from that map, and their average is the input of the two last layers. This is the network with
25.2 G mult-adds and 6.1 M parameters of Table 13 of the MobileNet paper.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.models.detection.roi_heads import RoIHeads
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead
from torchvision.ops import MultiScaleRoIAlign

from ...arch.network import Network
from .boxes import Boxes
from .parts import Anchors, Detector, padded, sized, torch_targets

__all__ = ["TwoStage"]

REGIONS = 64  # sampled regions per image for the loss of the second stage, a quarter of them positive
ANCHORS = 256  # sampled anchors per image for the loss of the first stage, half of them positive


class TwoStage(Detector):
    """The body's layers under their own names; `task` holds torchvision's two stages."""

    def __init__(self, body: nn.Module, network: Network, head_config: dict[str, Any]) -> None:
        super().__init__(body)
        self.map = head_config["maps"][0]
        ops = self.graph.ops
        cut = next(i for i, op in enumerate(ops) if op.name == self.map) + 1
        self.first, self.second = ops[1:cut], ops[cut:]
        height, width, channels = ops[cut - 1].shape_out
        generator = AnchorGenerator(_pixels(head_config["sizes"], network), (tuple(head_config["ratios"]),))
        proposals = RegionProposalNetwork(
            Anchors(generator, [(height, width)], (network.height, network.width)),
            RPNHead(channels, len(head_config["sizes"]) * len(head_config["ratios"])),
            fg_iou_thresh=0.7,
            bg_iou_thresh=0.3,
            batch_size_per_image=ANCHORS,
            positive_fraction=0.5,
            pre_nms_top_n=dict.fromkeys(("training", "testing"), head_config["candidates"]),
            post_nms_top_n=dict.fromkeys(("training", "testing"), head_config["proposals"]),
            nms_thresh=head_config["proposal_overlap"],
        )
        heads = RoIHeads(
            MultiScaleRoIAlign(["map"], head_config["cells"], sampling_ratio=2),
            self._end,  # a bound method, so that its layers stay the body's
            FastRCNNPredictor(ops[-1].shape_out[2], network.classes + 1),
            fg_iou_thresh=0.5,
            bg_iou_thresh=0.5,
            batch_size_per_image=REGIONS,
            positive_fraction=0.25,
            bbox_reg_weights=None,
            score_thresh=head_config["score"],
            nms_thresh=head_config["overlap"],
            detections_per_img=head_config["boxes"],
        )
        proposals.fg_bg_sampler, heads.fg_bg_sampler = Sampler(ANCHORS, 0.5), Sampler(REGIONS, 0.25)
        self.task = Stages(proposals, heads)

    def features(self, x: Tensor) -> Tensor:
        """Return the feature map from which proposals are computed."""
        return self.run(self.first, x)[self.map].float()

    def logits(self, x: Tensor) -> Tensor:
        """Return (N, anchors, 5): the box offsets and the objectness logit of every anchor."""
        positives, offsets = self.task.rpn.head(
            [  # type: ignore[operator]
                self.features(x)
            ]
        )
        parts = [(offsets[0], 4), (positives[0], 1)]
        n = len(x)
        rows = [part.view(n, -1, k, *part.shape[2:]).permute(0, 3, 4, 1, 2).reshape(n, -1, k) for part, k in parts]
        return torch.cat(rows, 2)

    def forward(self, x: Tensor) -> Tensor:
        found, _ = self._stages(x, None)
        return padded(found, sized(x))

    def losses(self, x: Tensor, targets: Sequence[Boxes]) -> dict[str, Tensor]:
        """Return torchvision's losses of both stages, for classification and box regression."""
        return self._stages(x, torch_targets(targets, x))[1]

    def _stages(
        self, x: Tensor, targets: list[dict[str, Tensor]] | None
    ) -> tuple[list[dict[str, Tensor]], dict[str, Tensor]]:
        """Return the detections, or with targets the losses; the mode of `task`, without batch norm, selects these."""
        features, images = {"map": self.features(x)}, sized(x)
        self.task.train(targets is not None)
        with torch.autocast(x.device.type, enabled=False):
            proposals, first = self.task.rpn(images, features, targets)
            found, second = self.task.roi_heads(features, proposals, images.image_sizes, targets)
        return found, {**first, **second}

    def _end(self, regions: Tensor) -> Tensor:
        """Return features (R, C') of regions (R, C, cells, cells)."""
        return self.run(self.second, regions)[self.second[-1].name].mean((2, 3))


class Stages(nn.Module):
    """The two stages, under torchvision's names."""

    def __init__(self, proposals: nn.Module, heads: nn.Module) -> None:
        super().__init__()
        self.rpn = proposals
        self.roi_heads = heads


class Sampler:
    """torchvision's sampler with its own random generator, so that runs repeat independent of other threads."""

    def __init__(self, count: int, share: float) -> None:
        self.count, self.share = count, share

    def __call__(self, matched: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Return masks of the sampled positive and negative regions of each image.

        `matched` is at least 1 for a positive region, 0 for a negative one, below 0 for one to ignore.
        """
        masks = [self._drawn(one) for one in matched]
        return [positives for positives, _ in masks], [negatives for _, negatives in masks]

    def _drawn(self, matched: Tensor) -> tuple[Tensor, Tensor]:
        positives, negatives = torch.where(matched >= 1)[0], torch.where(matched == 0)[0]
        generator = torch.Generator().manual_seed(len(positives) * len(matched) + len(negatives))
        most = min(len(positives), int(self.count * self.share))
        masks = []
        for among, count in ((positives, most), (negatives, min(len(negatives), self.count - most))):
            mask = torch.zeros_like(matched, dtype=torch.uint8)
            mask[among[torch.randperm(len(among), generator=generator)[:count].to(among.device)]] = 1
            masks.append(mask)
        return masks[0], masks[1]


def _pixels(sizes: Sequence[float], network: Network) -> tuple[tuple[int, ...]]:
    """Return anchor sizes in pixels, from shares of the image's side (the square root of its area)."""
    side = (network.height * network.width) ** 0.5
    return (tuple(max(1, round(size * side)) for size in sizes),)
