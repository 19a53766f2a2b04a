"""Settings that are "auto" in a recipe, resolved for this machine."""

from dataclasses import replace

import torch

from ..errors import UsageError
from ..machine import cores
from .recipe import Recipe
from .replicas import replica_count

__all__ = ["find_device", "resolve"]


def resolve(recipe: Recipe, alpha: float, fine_tuning: bool = False) -> Recipe:
    """Return the recipe with every open setting resolved for this machine and this width; a resumed run keeps it.

    Raises `UsageError` for a device that is absent and for more replicas than half of the batch.
    """
    device = find_device(recipe.device)
    replicas = recipe.replicas or (replica_count(cores(), recipe.batch_size) if device.type == "cpu" else 1)
    if replicas * 2 > recipe.batch_size:
        raise UsageError(f"replicas (={replicas}) need two images each, batch_size is {recipe.batch_size}")
    precision = recipe.precision
    if precision == "auto":
        precision = "bf16" if _has_bf16(device) else "fp32"
    return replace(
        recipe.settled(alpha, fine_tuning),
        device=str(device),
        replicas=replicas,
        workers=recipe.workers or cores(),
        precision=precision,
    )


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
