"""The state of a run, from which it resumes to the same weights, and its checkpoint file."""

import copy
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from ..errors import TrainingError
from ..files import write_atomic
from ..model import CHECKPOINT
from .group import Group
from .optimiser import Optimiser

__all__ = ["Progress", "State"]


@dataclass(slots=True)
class Progress:
    """The progress of a run, stored as JSON in the checkpoint."""

    data: str = ""  # fingerprint of the data set
    epoch: int = 0  # the current epoch, from 0
    batch: int = 0  # finished batches of this epoch
    loss: float = 0.0  # summed over them
    seen: int = 0
    best: tuple[float, float] = (-1.0, 0.0)  # (validation score, -loss) of the best epoch
    best_epoch: int = -1
    processes: int = 1  # which trained last
    history: list[dict[str, float]] = field(default_factory=list)


class State:
    """Module, averaged weights, optimiser and progress."""

    def __init__(self, module: nn.Module, optimiser: Optimiser, ema: float) -> None:
        self.module = module
        self.optimiser = optimiser
        self.ema_decay = ema
        self.averaged = copy.deepcopy(module).eval().requires_grad_(False)
        self.progress = Progress()

    @torch.no_grad()
    def average(self, step: int) -> None:
        """Move the averaged weights towards the module's; slower as the run grows, up to the recipe's decay."""
        decay = min(self.ema_decay, (1 + step) / (10 + step)) if self.ema_decay else 0.0
        torch._foreach_lerp_(_floats(self.averaged), _floats(self.module), 1 - decay)

    def save(self, path: Path) -> None:
        """Write the checkpoint, atomically."""
        metadata = {"format": CHECKPOINT, "version": "1", "progress": json.dumps(asdict(self.progress))}
        write_atomic(path, save(self._tensors(), metadata))

    def load(self, path: Path) -> None:
        """Load a checkpoint; raises `TrainingError` where `path` is no checkpoint of this run."""
        try:
            with safe_open(path, "pt") as file:
                if (file.metadata() or {}).get("format") != CHECKPOINT:
                    raise TrainingError(f"{path}: not a checkpoint")
                progress: dict[str, Any] = json.loads(file.metadata()["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
            self._set_tensors(tensors)
            self.progress = Progress(**progress)
            self.progress.best = (progress["best"][0], progress["best"][1])
        except (SafetensorError, OSError, KeyError, ValueError, TypeError, RuntimeError) as exc:
            raise TrainingError(f"{path}: cannot be resumed: {exc}") from exc

    def share(self, group: Group) -> None:
        """Give the state of the first process to all."""
        if group.size == 1:
            return
        content, progress = group.decided(lambda: (save(self._tensors()), self.progress))
        if group.rank:
            self._set_tensors(load(content))
            self.progress = progress

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"module.{name}": tensor for name, tensor in self.module.state_dict().items()}
        tensors |= {f"averaged.{name}": tensor for name, tensor in self.averaged.state_dict().items()}
        for i, slot in self.optimiser.state_dict()["state"].items():
            tensors |= {f"optimiser.{i}.{name}": tensor for name, tensor in slot.items() if tensor is not None}
        return {name: tensor.contiguous() for name, tensor in tensors.items()}

    def _set_tensors(self, tensors: dict[str, Tensor]) -> None:
        self.module.load_state_dict(_under("module.", tensors))
        self.averaged.load_state_dict(_under("averaged.", tensors))
        self._load_optimiser(_under("optimiser.", tensors))

    def _load_optimiser(self, tensors: dict[str, Tensor]) -> None:
        saved = self.optimiser.state_dict()
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        slots: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            number, key = name.split(".", 1)
            like = parameters[int(number)]
            if tensor.shape == like.shape:  # in the parameter's memory order, on which fused steps rely
                tensor = torch.empty_like(like).copy_(tensor)
            slots.setdefault(int(number), {})[key] = tensor
        self.optimiser.load_state_dict({"state": slots, "param_groups": saved["param_groups"]})


def _floats(module: nn.Module) -> list[Tensor]:
    """Return weights and running statistics: all but batch norm's counters of batches."""
    return [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
