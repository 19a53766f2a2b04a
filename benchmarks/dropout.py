"""Train with dropout before the classifier and with drop path, which `mobilenets train` does not have: do they pay?

    python benchmarks/dropout.py --dropout 0.2 train flowers --pretrained v3-small.safetensors --img-size 128 --epochs 5
    python benchmarks/dropout.py --drop-path 0.1 train flowers --pretrained v2.safetensors --img-size 64 --epochs 5

What follows the two rates are arguments of `mobilenets`. Drop path (stochastic depth) leaves out the residual branch of
an image with a probability that grows linearly to the given one at the last block; training is then torch's, since the
kernels in C add without it.
"""

import argparse
import sys
from typing import Any

import torch
from torch import Tensor, nn

from mobilenets.__main__ import main
from mobilenets.arch.graph import Graph
from mobilenets.training import fused, module


class DroppedClassifier(module.Linear):
    """The classifier behind dropout."""

    rate = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(nn.functional.dropout(x, self.rate, self.training))


class DroppedBranch(nn.Module):
    """A residual sum whose first operand, the branch, is left out of some images."""

    rate = 0.0

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if self.training and self.rate:
            kept = 1 - self.rate
            x = x * (torch.rand(len(x), 1, 1, 1) < kept) / kept
        return x + y


def patch(dropout: float, drop_path: float) -> None:
    """Build networks with both rates from now on."""
    DroppedClassifier.rate = dropout
    module.MODULES["fully_connected"] = lambda op, network: DroppedClassifier(op.shape_in[2], op.shape_out[2])
    if not drop_path:
        return
    module.MODULES["add"] = lambda op, network: DroppedBranch()
    build: Any = module.MobileNet.__init__

    def patched(self: module.MobileNet, graph: Graph) -> None:
        build(self, graph)
        branches = [part for part in self.modules() if isinstance(part, DroppedBranch)]
        for number, branch in enumerate(branches, 1):
            branch.rate = drop_path * number / len(branches)

    module.MobileNet.__init__ = patched  # type: ignore[method-assign]
    fused.takes = lambda graph: False


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--drop-path", type=float, default=0.0)
    rates, arguments = parser.parse_known_args()
    patch(rates.dropout, rates.drop_path)
    sys.argv = ["mobilenets", *arguments]
    sys.exit(main())
