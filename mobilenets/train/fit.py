"""The training loop: images and a recipe in, the best model out; resumable to the same weights, bit for bit."""

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from ..arch.graph import expand
from ..data.augment import Augmentation
from ..data.cache import Images
from ..data.loader import TrainingBatches, central_batches, plain_batches
from ..data.sources import Dataset
from ..errors import Interrupted, TrainingError
from ..model import Model, load
from ..tasks import classify
from .images import check, decode
from .interrupt import Interrupts
from .module import MobileNet, initialise, load_weights, weights_of
from .optimiser import build_optimiser, learning_rate
from .recipe import Recipe
from .replicas import Loss, Replicas
from .run import Run
from .start import start_from
from .state import State
from .watch import Watch

__all__ = ["fit"]

EVAL_BATCH = 128
STATISTICS_IMAGES = 1024  # for batch norm's final statistics: thousands of pixels each
CHECKPOINT_SECONDS = 15.0


@dataclass(slots=True)
class _Loop:
    """What the loop works on, once it is made."""

    run: Run
    labels: tuple[str, ...]
    data: dict[str, Any]  # what the model file says of it
    train: TrainingBatches
    val: Images
    state: State
    replicas: Replicas
    loss: Loss
    watch: Watch
    interrupts: Interrupts
    saved: float  # time of the last checkpoint
    speed: float = 0.0  # images a second, this epoch
    epoch_started: float = 0.0

    @property
    def recipe(self) -> Recipe:
        return self.run.settings.recipe

    @property
    def epochs(self) -> int:
        return self.recipe.epochs or 0  # a resolved recipe says it

    @property
    def peak(self) -> float:
        return self.recipe.lr or 0.0


def fit(dataset: Dataset, run: Run, watch: Watch | None = None) -> Model:
    """Train as `run.settings` says, from the run's checkpoint where it has one; returns the best model.

    The recipe must be resolved. Raises `Interrupted` after a signal, with the state saved, and `DataError` or
    `TrainingError`.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the replicas are the parallelism
    try:
        with Interrupts() as interrupts:
            loop = _prepare(dataset, run, watch or Watch(), interrupts)
            with loop.replicas:
                while loop.state.progress.epoch < loop.epochs and not _out_of_patience(loop):
                    _train_epoch(loop)
                    _finish_epoch(loop)
                return _finalise(loop)
    finally:
        torch.set_num_threads(threads)


def _prepare(dataset: Dataset, run: Run, watch: Watch, interrupts: Interrupts) -> _Loop:
    settings = run.settings
    recipe, network, preprocess = settings.recipe, settings.network, settings.preprocess
    augmentation = Augmentation(recipe.strength(network.alpha), recipe.flip)
    side = augmentation.short_side(network.height, network.width)
    train = decode(dataset, "train", settings, watch, interrupts, side)
    val = decode(dataset, "val", settings, watch, interrupts, None)
    check(dataset, train, val)
    device = torch.device(recipe.device)
    module = MobileNet(expand(network))
    initialise(module, recipe.seed)
    module = module.to(device).to(memory_format=torch.channels_last)
    if settings.pretrained and not run.checkpoint.is_file():
        if not run.initial.is_file():
            raise TrainingError(f"{run.path}: its {run.initial.name} is gone, which {settings.pretrained} was kept in")
        start_from(module, load(run.initial), train, preprocess, recipe.replicas)
    state = State(module, build_optimiser(module, recipe), recipe.ema)
    if run.checkpoint.is_file():
        state.load(run.checkpoint)
        if state.progress.data != dataset.fingerprint:
            raise TrainingError(f"{run.path} was trained on other data than {dataset.root} holds now: not resumed")
    state.progress.data = dataset.fingerprint
    batch_size = min(recipe.batch_size, len(train))
    count = min(recipe.replicas, batch_size // 2)
    return _Loop(
        run=run,
        labels=dataset.labels,
        data={"fingerprint": dataset.fingerprint, "train": len(train), "val": len(val)},
        train=TrainingBatches(
            train,
            preprocess,
            augmentation,
            batch_size,
            recipe.seed,
            recipe.workers,
            recipe.balance == "sample",
        ),
        val=val,
        state=state,
        replicas=Replicas(module, count, preprocess, device, recipe.precision == "bf16"),
        loss=classify.cross_entropy(train.labels, network.classes, recipe.smoothing, recipe.balance == "loss", device),
        watch=watch,
        interrupts=interrupts,
        saved=time.monotonic(),
    )


def _train_epoch(loop: _Loop) -> None:
    recipe, state, progress = loop.recipe, loop.state, loop.state.progress
    epoch, batches = progress.epoch, len(loop.train)
    steps, warmup = loop.epochs * batches, int(min(recipe.warmup_epochs, loop.epochs / 2) * batches)
    started, seen_before = time.monotonic(), progress.seen
    loop.epoch_started = started
    for number, batch in enumerate(loop.train.epoch(epoch, progress.batch), progress.batch):
        step = epoch * batches + number
        for group in state.optimiser.param_groups:
            group["lr"] = group["scale"] * learning_rate(step, steps, warmup, loop.peak)
        loss, correct = loop.replicas.gradients(batch, loop.loss)
        if not np.isfinite(loss):
            raise TrainingError(f"the loss is {loss} in epoch {epoch + 1}: lower --lr (now {loop.peak:g})")
        state.optimiser.step()
        state.average(step)
        progress.batch = number + 1
        progress.loss += loss * len(batch.labels)
        progress.correct += correct
        progress.seen += len(batch.labels)
        loop.speed = (progress.seen - seen_before) / (time.monotonic() - started)
        loop.watch.step(epoch, loop.epochs, number + 1, batches, loop.speed)
        _checkpoint(loop)


def _checkpoint(loop: _Loop) -> None:
    """Save now and then; save and stop when a signal came."""
    stop = loop.interrupts.number
    if stop is not None or time.monotonic() - loop.saved > CHECKPOINT_SECONDS:
        loop.state.save(loop.run.checkpoint)
        loop.saved = time.monotonic()
    if stop is not None:
        done = f"{loop.state.progress.epoch} of {loop.epochs} epochs"
        raise Interrupted(
            stop, f"stopped after {done} and saved; go on with: mobilenets train --resume {loop.run.path}"
        )


def _finish_epoch(loop: _Loop) -> None:
    """Validate the averaged weights, keep them where they are the best yet, note the row, save."""
    progress = loop.state.progress
    top1, loss = _validate(loop, loop.state.averaged)
    row = {
        "epoch": progress.epoch + 1,
        "lr": max(group["lr"] for group in loop.state.optimiser.param_groups),
        "train_loss": progress.loss / progress.seen,
        "train_top1": progress.correct / progress.seen,
        "val_loss": loss,
        "val_top1": top1,
        "images_per_second": loop.speed,
        "seconds": time.monotonic() - loop.epoch_started,
    }
    progress.history.append(row)
    model = loop.run.model(weights_of(loop.state.averaged.state_dict()), loop.labels, loop.data, top1)
    model.save(loop.run.last)
    if (top1, -loss) > progress.best:
        progress.best, progress.best_epoch = (top1, -loss), progress.epoch
        model.save(loop.run.best)
    progress.epoch, progress.batch = progress.epoch + 1, 0
    progress.loss, progress.correct, progress.seen = 0.0, 0, 0
    loop.run.write_results(progress.history)
    loop.watch.epoch(row)
    _checkpoint(loop)


def _out_of_patience(loop: _Loop) -> bool:
    progress, patience = loop.state.progress, loop.recipe.patience
    if patience is None or progress.epoch - 1 - progress.best_epoch < patience:
        return False
    loop.watch.note(f"no better validation top-1 for {patience} epochs: stopped after epoch {progress.epoch}")
    return True


def _validate(loop: _Loop, module: MobileNet) -> tuple[float, float]:
    """(top-1, mean cross-entropy) on the validation images, in fp32."""
    batches = plain_batches(loop.val, EVAL_BATCH)
    logits = torch.cat([loop.replicas.logits(module, batch.pixels) for batch in batches])
    labels = torch.from_numpy(loop.val.labels)
    return float((logits.argmax(1) == labels).float().mean()), float(cross_entropy(logits, labels))


def _finalise(loop: _Loop) -> Model:
    """The best model, its batch-norm statistics measured anew where that does no harm."""
    loop.state.save(loop.run.checkpoint)
    best = load(loop.run.best)
    module = MobileNet(best.graph).to(loop.replicas.device).to(memory_format=torch.channels_last)
    load_weights(module, best.weights)
    _measure_statistics(loop, module)
    top1, loss = _validate(loop, module)
    before = loop.state.progress.best
    if (top1, -loss) > before:
        if top1 > before[0]:
            loop.watch.note(
                f"batch-norm statistics of epoch {loop.state.progress.best_epoch + 1} measured anew: "
                f"val top-1 {before[0]:.2%} -> {top1:.2%}"
            )
        best = loop.run.model(weights_of(module.state_dict()), loop.labels, loop.data, top1)
        best.save(loop.run.best)
    _checkpoint(loop)
    return best


@torch.no_grad()
def _measure_statistics(loop: _Loop, module: MobileNet) -> None:
    """Batch norm's mean and variance, averaged evenly over training images seen as evaluation sees them."""
    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # PyTorch's way to say: the plain average of all batches
    module.train()
    torch.set_num_threads(loop.recipe.replicas)  # one module now, on all the cores that the replicas had
    images = loop.train.images
    for pixels in central_batches(images, loop.train.preprocess, EVAL_BATCH, STATISTICS_IMAGES):
        if len(pixels) > 1:
            module(loop.replicas.to_input(pixels))
    torch.set_num_threads(1)
    module.eval()
