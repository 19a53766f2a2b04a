"""The optimiser, its parameter groups and its learning rate, from a `Recipe`."""

import math

import torch
from torch import Tensor, nn

from .module import Convolution
from .recipe import Recipe

__all__ = ["build_optimiser", "learning_rate", "parameter_groups"]


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: decayed (full, pointwise and classifier weights), and not (depthwise, batch norm, bias)."""
    decayed: list[Tensor] = []
    for layer in module.modules():
        depthwise = isinstance(layer, Convolution) and layer.groups > 1
        if isinstance(layer, nn.Conv2d | nn.Linear) and not depthwise:
            decayed.append(layer.weight)
    chosen = {id(parameter) for parameter in decayed}
    rest = [parameter for parameter in module.parameters() if id(parameter) not in chosen]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}]


def build_optimiser(module: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW, SGD with Nesterov momentum 0.9, or RMSprop as the paper's (decay 0.9, momentum 0.9).

    AdamW's decay is decoupled; SGD and RMSprop add it to the gradient, where a hundredth of it does the same.
    """
    lr = recipe.learning_rate
    if recipe.opt == "adamw":
        return torch.optim.AdamW(parameter_groups(module, recipe.weight_decay), lr, fused=True)
    groups = parameter_groups(module, recipe.weight_decay / 100)
    if recipe.opt == "sgd":
        return torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True)
    return torch.optim.RMSprop(groups, lr, alpha=0.9, eps=1e-3, momentum=0.9)


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Linear from 0 to `peak` over `warmup` steps, then half a cosine to 0 at `steps`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
