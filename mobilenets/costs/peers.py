"""The networks in the paper's comparisons (Tables 8 and 9), by torchvision's definitions.

The counter is `torch.utils.flop_counter`, which counts two operations per mult-add, in convolutions and matrix products
only, as the paper does. The networks are built on torch's "meta" device: shapes without arithmetic.
"""

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from ..errors import MissingExtraError

if TYPE_CHECKING:
    from torch import nn

__all__ = ["LEAST_SIDE", "PEERS", "Peer", "PeerName", "build_peer"]

PeerName = Literal["googlenet", "vgg16", "squeezenet1_0", "alexnet"]  # torchvision's functions
LEAST_SIDE = 63  # pixels: AlexNet's last pooling has no 3x3 window in smaller images


@dataclass(frozen=True, slots=True)
class Peer:
    """A network that the paper compares with, and what the paper prints: top-1 in %, costs in millions."""

    builder: PeerName
    name: str
    table: str
    top1: float  # ImageNet
    paper_mult_adds_m: float
    paper_params_m: float
    batch_norm: bool
    note: str  # the reason why our counts differ

    def count(self, height: int = 224, width: int = 224, classes: int = 1000) -> tuple[int, int]:
        """Return mult-adds and parameters for (height, width, 3) inputs; takes about a quarter of a second.

        Raises `MissingExtraError` where torch or torchvision is not installed.
        """
        return _count(self.builder, height, width, classes)


PEERS: dict[str, Peer] = {
    peer.builder: peer
    for peer in (
        Peer(
            "googlenet",
            "GoogLeNet",
            "Table 8",
            69.8,
            1550,
            6.8,
            True,
            "without side heads; torchvision's has batch norm, and 3x3 where the original has 5x5",
        ),
        Peer(
            "vgg16",
            "VGG16",
            "Table 8",
            71.5,
            15300,
            138,
            False,
            "the paper's figure is the convolutions alone: 15347 M, and 124 M are the FC",
        ),
        Peer(
            "alexnet",
            "AlexNet",
            "Table 9",
            57.2,
            720,
            60,
            False,
            "torchvision's is the one-column version of 2014 (arXiv 1404.5997), not the original in two groups",
        ),
        Peer(
            "squeezenet1_0",
            "SqueezeNet 1.0",
            "Table 9",
            57.5,
            1700,
            1.25,
            False,
            "the paper's 1700 M counts multiplications and additions apart: twice the mult-adds",
        ),
    )
}


def build_peer(builder: str, classes: int) -> "nn.Module":
    """Return one of torchvision's networks with its own initial weights, drawn by torch's global generator.

    Raises `MissingExtraError` where torchvision is not installed.
    """
    try:
        import torchvision
    except ImportError as exc:
        raise MissingExtraError(f"building other networks needs {exc.name}", "train") from exc
    options: dict[str, Any] = {"aux_logits": False, "init_weights": True} if builder == "googlenet" else {}
    module: nn.Module = getattr(torchvision.models, builder)(weights=None, num_classes=classes, **options)
    return module


@cache
def _count(builder: str, height: int, width: int, classes: int) -> tuple[int, int]:
    try:
        import torch
        import torchvision  # noqa: F401  # torch 2.8 cannot import it while the counter is on
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as exc:
        raise MissingExtraError(f"counting other networks needs {exc.name}", "train") from exc
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = build_peer(builder, classes).eval()
        network(torch.empty(1, 3, height, width))
    return counter.get_total_flops() // 2, sum(parameter.numel() for parameter in network.parameters())
