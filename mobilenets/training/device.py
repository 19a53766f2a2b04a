"""Settings that are "auto" in a recipe, resolved for this machine."""

from dataclasses import replace

import torch

from ..errors import UsageError
from .group import Group
from .recipe import Recipe
from .replicas import replica_count

__all__ = ["check_device", "find_device", "resolve"]


def resolve(recipe: Recipe, alpha: float, tuned_on: int = 0, group: Group | None = None) -> Recipe:
    """Return the recipe with every open setting resolved for this machine and this width; a resumed run keeps it.

    `tuned_on`: the training images of fine-tuning; 0: from scratch.
    The replicas are those of all processes of `group`. Raises `UsageError` for a device that is absent and for more
    replicas than half of the batch.
    """
    group = group or Group()
    device = find_device(recipe.device)
    usual = replica_count(group.cores * group.size, recipe.batch_size) if device.type == "cpu" else 1
    replicas = recipe.replicas or max(usual, group.size)
    if replicas * 2 > recipe.batch_size:
        raise UsageError(f"replicas (={replicas}) need two images each, batch_size is {recipe.batch_size}")
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "fp32"
    return replace(
        recipe.settled(alpha, tuned_on),
        device=str(device),
        replicas=replicas,
        workers=recipe.workers or group.cores,
        precision=precision,
    )


def check_device(recipe: Recipe, group: Group) -> None:
    """Raise `UsageError` where the processes of `group` cannot train on the recipe's device or as its replicas."""
    group.device(str(find_device(recipe.device)))
    if 0 < recipe.replicas < group.size:
        raise UsageError(f"replicas (={recipe.replicas}) must be at least torchrun's {group.size} processes")


def find_device(name: str) -> torch.device:
    """Return the device called `name`; auto is a GPU where there is one. Raises `UsageError` where it is absent."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        raise UsageError(f"device {name!r} is not available: {str(exc).splitlines()[0]}") from exc
    return device


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
