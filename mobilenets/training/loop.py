"""The objects of a training loop: images, network, optimiser and progress."""

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

from ..arch.graph import expand
from ..data.augment import Augmentation
from ..data.cache import Images
from ..data.loader import TrainingBatches
from ..data.sources import Dataset
from ..errors import DataError, TrainingError, UsageError
from ..model import load
from ..progress import Watch
from ..quant.scheme import QuantParams
from ..tasks.task import Objective, Task
from . import qat
from .group import Group
from .images import check, decode
from .interrupt import Interrupts
from .module import MobileNet, initialise
from .optimiser import build_optimiser
from .peer_module import number_dropouts, peer_module
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
    group: Group
    saved: float  # time of the last checkpoint
    saving: float = 0.0  # seconds that it took
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


def prepare(dataset: Dataset, run: Run, watch: Watch, interrupts: Interrupts, group: Group) -> Loop:
    """Decode the images, make or load the network, and all else that an epoch needs."""
    settings = run.settings
    recipe, network, preprocess, task = settings.recipe, settings.network, settings.preprocess, settings.task
    augmentation = Augmentation(recipe.strength(network.alpha), recipe.flip)
    side = settings.stored_side or augmentation.short_side(network.height, network.width)
    train = decode(dataset, "train", settings, watch, interrupts, side)
    val = decode(dataset, "val", settings, watch, interrupts, None)
    check(task, dataset, train, val)
    train = _with_targets(train, dataset, run, watch, group)
    device = group.device(recipe.device)
    module = module_of(run.settings, dataset.head_config)
    if recipe.quantize and not isinstance(module, MobileNet):
        raise UsageError(f"quantize: of task {task.name} the head has no quantisation-aware training")
    if not settings.peer:
        initialise(module, recipe.seed)
    module = module.to(device).to(memory_format=torch.channels_last)
    batch_size = min(recipe.batch_size, len(train))
    count = min(max(recipe.replicas, group.size), batch_size // 2)
    if count < group.size:
        raise UsageError(f"torchrun's {group.size} processes need two images each, a batch has {batch_size}")
    if settings.pretrained:
        group.decided(lambda: _start(module, run, train))
    blocks = None if settings.peer else len(network.blocks)
    state = State(module, build_optimiser(module, blocks, recipe), recipe.ema)
    group.decided(lambda: _load(state, dataset, run, watch, group))
    state.share(group)
    replicas = Replicas(module, count, preprocess, device, recipe.precision == "bf16", group)
    number_dropouts(replicas.modules)
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
            replicas.part,
        ),
        val=val,
        state=state,
        replicas=replicas,
        objective=task.objective(train.targets, network, dataset, recipe, device),
        watch=watch,
        interrupts=interrupts,
        group=group,
        saved=time.monotonic(),
    )


def _with_targets(train: Images, dataset: Dataset, run: Run, watch: Watch, group: Group) -> Images:
    """Return the training images with the targets of the first process, which alone asks a teacher."""
    task = run.settings.task
    targets = group.decided(lambda: task.with_teacher_targets(train, dataset, run.path, watch.note).targets)
    if len(targets) != len(train):
        raise DataError(f"{dataset.root}: {len(train)} training images, {len(targets)} in torchrun's first process")
    return replace(train, targets=targets)


def _start(module: nn.Module, run: Run, train: Images) -> None:
    """Load what fine-tuning starts from, unless there is a checkpoint."""
    settings = run.settings
    if run.checkpoint.is_file():
        return
    if not run.initial.is_file():
        raise TrainingError(f"{run.path}: its {run.initial.name} is gone, which {settings.pretrained} was kept in")
    start_from(module, load(run.initial, body=True), train, settings.preprocess, settings.recipe.replicas)


def _load(state: State, dataset: Dataset, run: Run, watch: Watch, group: Group) -> None:
    """Load the checkpoint, where there is one, and write the settings of the run."""
    progress = state.progress
    if run.checkpoint.is_file():
        state.load(run.checkpoint)
        progress = state.progress
        if progress.data != dataset.fingerprint:
            raise TrainingError(f"{run.path} was trained on other data than {dataset.root} holds now: not resumed")
        if progress.processes != group.size:
            watch.note(
                f"trained by {progress.processes} processes so far and by {group.size} from here on: sums in another "
                "order, so that the weights are not bit for bit those of an uninterrupted run"
            )
    progress.data, progress.processes = dataset.fingerprint, group.size
    run.write_settings()  # the data may have moved, or the run is extended


def module_of(settings: Settings, head_config: dict[str, Any]) -> nn.Module:
    """Return the peer, or the network with the task's head, where it has one."""
    if settings.peer:
        return peer_module(settings.peer, settings.network.classes, settings.recipe.seed)
    return settings.task.module(MobileNet(expand(settings.network)), settings.network, head_config)
