"""torchvision's networks of the paper's comparisons, with dropout that a resumed run repeats."""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from ..costs.peers import PeerName, build_peer

__all__ = ["number_dropouts", "peer_module"]


class Dropout(nn.Module):
    """`nn.Dropout` whose masks are a function of (seed, layer, replica, step): a checkpoint keeps the step."""

    num_batches_tracked: Tensor  # named as batch norm's counter, which files of weights leave out

    def __init__(self, p: float, seed: int, layer: int) -> None:
        super().__init__()
        self.p, self.seed, self.layer, self.replica = p, seed, layer, 0
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with a share `p` of its elements zero and the others divided by 1 - `p`; in evaluation `x`."""
        if not self.training:
            return x
        entropy = np.random.SeedSequence((self.seed, self.layer, self.replica, int(self.num_batches_tracked)))
        generator = torch.Generator(x.device).manual_seed(int(entropy.generate_state(1)[0]))
        self.num_batches_tracked += 1
        return x * torch.empty_like(x).bernoulli_(1 - self.p, generator=generator).div_(1 - self.p)


def peer_module(name: PeerName, classes: int, seed: int) -> nn.Module:
    """Return torchvision's network, initialised as it does; torch's global generators are left as they were.

    Raises `MissingExtraError` where torchvision is not installed.
    """
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        module = build_peer(name, classes)
    dropouts = [path for path, layer in module.named_modules() if isinstance(layer, nn.Dropout)]
    for number, path in enumerate(dropouts):
        before = module.get_submodule(path)
        module.set_submodule(path, Dropout(before.p, seed, number))  # type: ignore[arg-type]
    return module


def number_dropouts(replicas: Iterable[nn.Module]) -> None:
    """Let the dropouts of each replica draw masks of their own."""
    for number, module in enumerate(replicas):
        for layer in module.modules():
            if isinstance(layer, Dropout):
                layer.replica = number
