"""The objects of a training loop: images, network, optimiser and progress."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..arch.graph import expand
from ..data.augment import Augmentation
from ..data.cache import Images
from ..data.loader import TrainingBatches
from ..data.sources import Dataset
from ..errors import TrainingError, UsageError
from ..model import load
from ..progress import Watch
from ..quant.scheme import QuantParams
from ..tasks.task import Objective, Task
from . import qat
from .images import check, decode
from .interrupt import Interrupts
from .module import MobileNet, initialise
from .optimiser import build_optimiser
from .recipe import Recipe
from .replicas import Replicas
from .run import Run, Settings
from .start import start_from
from .state import State

__all__ = ["Loop", "module_of", "prepare"]


@dataclass(slots=True)
class Loop:
    """The objects that the training loop works on."""

    run: Run
    labels: tuple[str, ...]
    head_config: dict[str, Any]
    data: dict[str, Any]  # metadata of the model file
    train: TrainingBatches
    val: Images
    state: State
    replicas: Replicas
    objective: Objective
    watch: Watch
    interrupts: Interrupts
    saved: float  # time of the last checkpoint
    speed: float = 0.0  # images per second, this epoch
    epoch_started: float = 0.0
    activations: dict[str, QuantParams] = field(default_factory=dict)  # of quantisation-aware training

    @property
    def recipe(self) -> Recipe:
        """Return the recipe of the run."""
        return self.run.settings.recipe

    @property
    def task(self) -> Task:
        """Return the task of the run."""
        return self.run.settings.task

    @property
    def float_epochs(self) -> int:
        """Return the number of float epochs, which a resolved recipe states."""
        return self.recipe.epochs or 0  # a resolved recipe states it

    @property
    def epochs(self) -> int:
        """Return the number of all epochs."""
        return self.float_epochs + (qat.more_epochs(self.float_epochs) if self.recipe.quantize else 0)

    @property
    def peak(self) -> float:
        """Return the peak learning rate."""
        return self.recipe.lr or 0.0


def prepare(dataset: Dataset, run: Run, watch: Watch, interrupts: Interrupts) -> Loop:
    """Decode the images, make or load the network, and all else that an epoch needs."""
    settings = run.settings
    recipe, network, preprocess, task = settings.recipe, settings.network, settings.preprocess, settings.task
    augmentation = Augmentation(recipe.strength(network.alpha), recipe.flip)
    side = settings.stored_side or augmentation.short_side(network.height, network.width)
    train = decode(dataset, "train", settings, watch, interrupts, side)
    val = decode(dataset, "val", settings, watch, interrupts, None)
    check(task, dataset, train, val)
    train = task.with_teacher_targets(train, dataset, run.path, watch.note)
    device = torch.device(recipe.device)
    module = module_of(run.settings, dataset.head_config)
    if recipe.quantize and not isinstance(module, MobileNet):
        raise UsageError(f"quantize: of task {task.name} the head has no quantisation-aware training")
    initialise(module, recipe.seed)
    module = module.to(device).to(memory_format=torch.channels_last)
    if settings.pretrained and not run.checkpoint.is_file():
        if not run.initial.is_file():
            raise TrainingError(f"{run.path}: its {run.initial.name} is gone, which {settings.pretrained} was kept in")
        start_from(module, load(run.initial, body=True), train, preprocess, recipe.replicas)
    state = State(module, build_optimiser(module, len(network.blocks), recipe), recipe.ema)
    if run.checkpoint.is_file():
        state.load(run.checkpoint)
        if state.progress.data != dataset.fingerprint:
            raise TrainingError(f"{run.path} was trained on other data than {dataset.root} holds now: not resumed")
    state.progress.data = dataset.fingerprint
    run.write_settings()  # the data may have moved, or the run is extended
    batch_size = min(recipe.batch_size, len(train))
    count = min(recipe.replicas, batch_size // 2)
    return Loop(
        run=run,
        labels=task.outputs(dataset),
        head_config=dataset.head_config,
        data={"fingerprint": dataset.fingerprint, "train": len(train), "val": len(val)},
        train=TrainingBatches(
            train,
            preprocess,
            augmentation,
            batch_size,
            recipe.seed,
            recipe.workers,
            task.order(train.targets, batch_size, recipe),
            task.view,
        ),
        val=val,
        state=state,
        replicas=Replicas(module, count, preprocess, device, recipe.precision == "bf16"),
        objective=task.objective(train.targets, network, dataset, recipe, device),
        watch=watch,
        interrupts=interrupts,
        saved=time.monotonic(),
    )


def module_of(settings: Settings, head_config: dict[str, Any]) -> nn.Module:
    """Return the network with the task's head, where it has one."""
    return settings.task.module(MobileNet(expand(settings.network)), settings.network, head_config)
