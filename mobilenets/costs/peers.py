"""The networks in the paper's comparisons (Tables 8 and 9), counted from torchvision's definitions.

The counter is `torch.utils.flop_counter`, which counts two operations per mult-add, in convolutions and matrix products
only, as the paper does. The networks are built on torch's "meta" device: shapes without arithmetic.
"""

from dataclasses import dataclass
from typing import Any

from ..errors import MissingExtraError

__all__ = ["Peer", "count_peers"]

_KINDS: tuple[tuple[str, str, dict[str, Any], str, float, float, float, str], ...] = (
    (
        "GoogLeNet",
        "googlenet",
        {"aux_logits": False, "init_weights": False},
        "Table 8",
        69.8,
        1550,
        6.8,
        "without side heads; torchvision's has batch norm, and 3x3 where the original has 5x5",
    ),
    (
        "VGG16",
        "vgg16",
        {},
        "Table 8",
        71.5,
        15300,
        138,
        "the paper's figure is the convolutions alone: 15347 M, and 124 M are the FC",
    ),
    (
        "AlexNet",
        "alexnet",
        {},
        "Table 9",
        57.2,
        720,
        60,
        "torchvision's is the one-column version of 2014 (arXiv 1404.5997), not the original in two groups",
    ),
    (
        "SqueezeNet 1.0",
        "squeezenet1_0",
        {},
        "Table 9",
        57.5,
        1700,
        1.25,
        "the paper's 1700 M counts multiplications and additions apart: twice the mult-adds",
    ),
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Costs counted at 224 x 224 x 3 and 1000 classes, and the paper's figures in millions."""

    name: str
    mult_adds: int
    params: int
    table: str
    top1: float  # ImageNet, %, as printed
    paper_mult_adds_m: float
    paper_params_m: float
    note: str  # the reason for the difference


def count_peers() -> tuple[Peer, ...]:
    """Return the paper's comparison networks with their counted costs; takes about a second.

    Raises `MissingExtraError` where torch or torchvision is not installed.
    """
    return tuple(
        Peer(name, *_count(builder, options), table, top1, mult_adds_m, params_m, note)
        for name, builder, options, table, top1, mult_adds_m, params_m, note in _KINDS
    )


def _count(builder: str, options: dict[str, Any]) -> tuple[int, int]:
    """Return mult-adds and parameters of one of torchvision's networks."""
    try:
        import torch
        import torchvision
        from torch.utils.flop_counter import FlopCounterMode
    except ImportError as exc:
        raise MissingExtraError(f"counting other networks needs {exc.name}", "train") from exc
    with torch.device("meta"), torch.no_grad(), FlopCounterMode(display=False) as counter:
        network = getattr(torchvision.models, builder)(weights=None, **options).eval()
        network(torch.empty(1, 3, 224, 224))
    return counter.get_total_flops() // 2, sum(parameter.numel() for parameter in network.parameters())
