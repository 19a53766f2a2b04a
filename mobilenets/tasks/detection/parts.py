"""Provide the common parts of both detectors: the body's layers, fixed anchors, conversions to torchvision's types."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from ...arch.graph import Graph
from ...arch.ops import ACTIVATIONS, CONVOLUTIONS, Consumer, Op
from .boxes import Boxes
from .layout import BOXES

__all__ = ["Anchors", "Detector", "padded", "sized", "torch_targets"]


DETECTORS = Consumer(
    "object detection",
    handles="input conv depthwise pointwise batch_norm relu relu6".split(),
    refuses="hard_swish hard_sigmoid add multiply global_average_pool fully_connected "
    "softmax sigmoid l2_normalise".split(),
    activations=dict.fromkeys(CONVOLUTIONS, ("relu", "relu6")),
)


class Detector(nn.Module):
    """A detector on the body's layers, which keep their names; a subclass adds `task`.

    The output for (N, C, H, W) is (N, BOXES, 6): left, top, right, bottom as fractions of the image, score, class. Rows
    without a box are -1.
    """

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.graph: Graph = body.graph  # type: ignore[assignment]
        DETECTORS.check(self.graph.ops)
        for name, layer in body.named_children():
            self.add_module(name, layer)

    def run(self, ops: Sequence[Op], x: Tensor) -> dict[str, Tensor]:
        """Return the outputs of the activations, by the names of their ops."""
        values = {}
        for op in ops:
            x = getattr(self, op.name)(x)
            if op.kind in ACTIVATIONS:
                values[op.name] = x
        return values


class Anchors(nn.Module):
    """The anchors (anchors, 4) in pixels that torchvision's generator makes for these maps, stored with the weights."""

    def __init__(self, generator: nn.Module, maps: Sequence[tuple[int, int]], side: tuple[int, int]) -> None:
        super().__init__()
        boxes = generator(sized(torch.zeros(1, 3, *side)), [torch.zeros(1, 1, *size) for size in maps])[0]
        self.boxes = nn.Parameter(boxes, requires_grad=False)

    def forward(self, images: ImageList, features: Any) -> list[Tensor]:
        """Return the anchors once per image."""
        return [self.boxes.data] * len(images.image_sizes)


def sized(x: Tensor) -> ImageList:
    """Return images (N, C, H, W) as torchvision's `ImageList`."""
    return ImageList(x, [(x.shape[-2], x.shape[-1])] * len(x))


def torch_targets(targets: Sequence[Boxes], x: Tensor) -> list[dict[str, Tensor]]:
    """Return targets for torchvision: boxes in pixels of `x` and classes from 1, without ignored boxes."""
    scale = np.array([x.shape[-1], x.shape[-2]] * 2, np.float32)
    return [
        {
            "boxes": torch.from_numpy(target.edges[~target.ignored] * scale).to(x.device),
            "labels": torch.from_numpy(target.labels[~target.ignored] + 1).to(x.device),
        }
        for target in targets
    ]


def padded(found: Sequence[dict[str, Tensor]], images: ImageList) -> Tensor:
    """Return torchvision's detections as one tensor (N, BOXES, 6), see `Detector`."""
    table = torch.full((len(found), BOXES, 6), -1.0)
    height, width = images.image_sizes[0]
    for i, one in enumerate(found):
        boxes, scores, labels = (one[name].detach().cpu() for name in ("boxes", "scores", "labels"))
        table[i, : len(boxes), :4] = boxes / torch.tensor([width, height] * 2)
        table[i, : len(boxes), 4], table[i, : len(boxes), 5] = scores, labels - 1
    return table
