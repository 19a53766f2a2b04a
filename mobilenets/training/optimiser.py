"""The optimiser, its parameter groups and its learning rate, from a `Recipe`."""

import math
from typing import Any

import torch
from torch import Tensor, nn

from .module import Convolution
from .recipe import Recipe

__all__ = ["AdamW", "Optimiser", "build_optimiser", "learning_rate", "parameter_groups"]


class AdamW:
    """Computes `torch.optim.AdamW(groups, lr, fused=True)`, bit for bit, without the slow import of torch.optim (1.3
    s).
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float) -> None:
        self.param_groups = [{"lr": lr, **group} for group in groups]
        self._parameters = [parameter for group in groups for parameter in group["params"]]
        self._slots: dict[Tensor, dict[str, Tensor]] = {}

    @torch.no_grad()
    def step(self) -> None:
        """Update all parameters that have a gradient."""
        for group in self.param_groups:
            parameters = [parameter for parameter in group["params"] if parameter.grad is not None]
            slots = [self._slots.get(p) or self._slots.setdefault(p, _slot(p)) for p in parameters]
            steps, means, squares = ([slot[key] for slot in slots] for key in ("step", "exp_avg", "exp_avg_sq"))
            torch._foreach_add_(steps, 1)
            torch._fused_adamw_(
                parameters,
                [parameter.grad for parameter in parameters],
                means,
                squares,
                [],
                steps,
                lr=group["lr"],
                beta1=0.9,
                beta2=0.999,
                weight_decay=group["weight_decay"],
                eps=1e-8,
                amsgrad=False,
                maximize=False,
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the state in the layout of torch's optimisers."""
        slots = {i: self._slots[p] for i, p in enumerate(self._parameters) if p in self._slots}
        return {"state": slots, "param_groups": self.param_groups}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the averages and counts of `state_dict`; groups and rates stay unchanged."""
        for i, slot in state["state"].items():
            parameter = self._parameters[i]
            self._slots[parameter] = {key: value.to(parameter.device) for key, value in slot.items()}


Optimiser = torch.optim.Optimizer | AdamW


def _slot(parameter: Tensor) -> dict[str, Tensor]:
    return {
        "step": torch.zeros((), device=parameter.device),
        "exp_avg": torch.zeros_like(parameter),
        "exp_avg_sq": torch.zeros_like(parameter),
    }


def parameter_groups(
    module: nn.Module, blocks: int | None, weight_decay: float, layer_decay: float = 1.0
) -> list[dict[str, Any]]:
    """Return groups by (scale of the learning rate, weight decay).

    Full, pointwise and classifier weights are decayed; depthwise ones, batch norm and biases are not. The classifier
    has scale 1, every block below it `layer_decay` times the one above; without `blocks` all layers have scale 1.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, layer in module.named_children():
        depthwise = isinstance(layer, Convolution) and layer.groups > 1
        scale = 1.0 if blocks is None else layer_decay ** _depth(blocks, name)
        for parameter in layer.parameters():
            decays = parameter.ndim > 1 and not depthwise
            groups.setdefault((scale, weight_decay if decays else 0.0), []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay} for (scale, decay), parameters in groups.items()
    ]


def _depth(blocks: int, name: str) -> int:
    """Return the number of blocks between a layer and the end: 0 for `fc` or a task's head, 1 for the last block, and
    so on.
    """
    if name in ("fc", "task"):
        return 0
    block = name.split("_")[0].lstrip("abcdefghijklmnopqrstuvwxyz")
    return 1 if not block else blocks + 1 - int(block)


def build_optimiser(module: nn.Module, blocks: int | None, recipe: Recipe) -> Optimiser:
    """Return the optimiser of a resolved recipe.

    AdamW, SGD with Nesterov momentum 0.9, or RMSprop as in the paper (decay 0.9, momentum 0.9). AdamW's weight decay is
    decoupled; SGD and RMSprop add it to the gradient, where a hundredth of it has the same effect.
    """
    lr, layer_decay = recipe.lr or 0.0, recipe.layer_decay or 1.0
    if recipe.opt == "adamw":
        return AdamW(parameter_groups(module, blocks, recipe.weight_decay, layer_decay), lr)
    groups = parameter_groups(module, blocks, recipe.weight_decay / 100, layer_decay)
    if recipe.opt == "sgd":
        return torch.optim.SGD(groups, lr, momentum=0.9, nesterov=True)
    return torch.optim.RMSprop(groups, lr, alpha=0.9, eps=1e-3, momentum=0.9)


def learning_rate(step: int, steps: int, warmup: int, peak: float) -> float:
    """Return the learning rate: linear from 0 to `peak` over `warmup` steps, then half a cosine to 0 at `steps`."""
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
