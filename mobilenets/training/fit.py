"""The training loop: trains a network by a recipe and returns the best model; resumable to the same weights, bit for
bit.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ..data.cache import Images
from ..data.loader import central_batches, plain_batches
from ..data.sources import Dataset
from ..errors import Interrupted, TrainingError
from ..model import Model, load
from ..progress import Watch
from ..tasks.result import figure_name
from . import qat
from .fused import fuse
from .group import Group
from .interrupt import Interrupts
from .loop import Loop, module_of, prepare
from .module import load_weights, weights_of
from .optimiser import learning_rate
from .run import Run
from .state import Progress

__all__ = [
    "advance",
    "finish_epoch",
    "fit",
    "measure_statistics",
    "prepared",
    "train_epoch",
    "unfinished",
    "validate",
]

EVAL_BATCH = 128
STATISTICS_IMAGES = 1024  # for batch norm's final statistics: thousands of pixels each
CHECKPOINT_SECONDS = 15.0
SAVING_SHARE = 0.05  # of the time, at most: a checkpoint of VGG 16 is 2.1 GB


def fit(dataset: Dataset, run: Run, watch: Watch | None = None, group: Group | None = None) -> Model:
    """Train as `run.settings` says, from the run's checkpoint where it has one; returns the best model.

    The recipe must be resolved. Raises `Interrupted` after a signal, with the state saved, and `DataError` or
    `TrainingError`. All processes of `group` must call it; the run's folder is that of the first.
    """
    with prepared(dataset, run, watch or Watch(), group or Group()) as loop:
        _train(loop, loop.epochs)
        return loop.group.decided(lambda: _finalise(loop))


def advance(dataset: Dataset, run: Run, epochs: int, watch: Watch | None = None) -> None:
    """Train as `fit`, but only until `epochs` are done; `fit` goes on from there."""
    with prepared(dataset, run, watch or Watch(), Group()) as loop:
        _train(loop, min(epochs, loop.epochs))
        loop.state.save(loop.run.checkpoint)


@contextmanager
def prepared(dataset: Dataset, run: Run, watch: Watch, group: Group) -> Iterator[Loop]:
    """Yield the loop of `run`; torch's number of threads is set meanwhile, and signals are noted."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the replicas are the parallelism
    try:
        with nullcontext() if group.rank else run.held(), Interrupts() as interrupts:
            loop = prepare(dataset, run, watch, interrupts, group)
            with loop.replicas:
                yield loop
    finally:
        torch.set_num_threads(threads)


def _train(loop: Loop, epochs: int) -> None:
    while unfinished(loop, epochs):
        _begin_quantisation_aware_training(loop)
        train_epoch(loop)
        loop.state.progress = loop.group.decided(lambda: finish_epoch(loop, _keep))


def unfinished(loop: Loop, epochs: int) -> bool:
    """Return whether another of the `epochs` is to be trained."""
    return loop.state.progress.epoch < epochs and not _out_of_patience(loop)


def _begin_quantisation_aware_training(loop: Loop) -> None:
    """Switch to quantisation-aware training when it is due; it starts from the best float weights, which remain the
    run's best.
    """
    state, preprocess = loop.state, loop.run.settings.preprocess
    if loop.activations or state.progress.epoch < loop.float_epochs:
        return
    starts = state.progress.batch == 0 and state.progress.epoch == loop.float_epochs
    if starts:
        weights = loop.group.decided(lambda: _calibrated(loop))
        for module in (*loop.replicas.modules, state.averaged):
            load_weights(module, weights)
    loop.activations = loop.group.decided(lambda: qat.read_activations(loop.run.activations))
    for module in (*loop.replicas.modules, state.averaged):
        qat.attach(module, loop.activations, preprocess)
    if starts:
        state.progress.best = loop.group.decided(lambda: _keep_first_integers(loop))


def _keep_first_integers(loop: Loop) -> tuple[float, float]:
    """Save the int8 network from which quantisation-aware training starts; return (score, -loss), which its epochs must
    exceed.
    """
    score, loss = validate(loop, loop.state.averaged, loop.val)
    _save_integers(loop, _model(loop, loop.state.averaged, score))
    loop.watch.note(f"quantisation-aware training from epoch {loop.float_epochs + 1} on")
    loop.watch.note(f"int8 before it: val {figure_name(loop.task.score)} {score:.2%}")
    return score, -loss


def _calibrated(loop: Loop) -> dict[str, np.ndarray]:
    """Return the weights that quantisation-aware training starts from; the run then has its quantisation parameters."""
    best = _keep_best(loop, load(loop.run.best))
    chosen = central_batches(loop.train.images, loop.run.settings.preprocess, EVAL_BATCH, qat.IMAGES)
    activations, corrected = qat.calibrated(best, np.concatenate(list(chosen)))
    qat.write_activations(loop.run.activations, activations)
    return dict(corrected.weights)


def train_epoch(loop: Loop) -> None:
    """Train the batches that are left of the current epoch; raises `TrainingError` for a loss that is not finite."""
    state, progress = loop.state, loop.state.progress
    epoch, batches = progress.epoch, len(loop.train)
    started, seen_before = time.monotonic(), progress.seen
    loop.epoch_started = started
    for number, batch in enumerate(loop.train.epoch(epoch, progress.batch), progress.batch):
        step = epoch * batches + number
        rate = _rate(loop, step, batches)
        for group in state.optimiser.param_groups:
            group["lr"] = group["scale"] * rate
        loss = loop.replicas.gradients(batch, loop.objective)
        if not np.isfinite(loss):
            raise TrainingError(f"the loss is {loss} in epoch {epoch + 1}: lower --lr (now {loop.peak:g})")
        state.optimiser.step()
        state.average(step)
        progress.batch = number + 1
        progress.loss += loss * batch.images
        progress.seen += batch.images
        loop.speed = (progress.seen - seen_before) / (time.monotonic() - started)
        loop.watch.step(epoch, loop.epochs, number + 1, batches, loop.speed)
        _checkpoint(loop, loop.group.highest(loop.interrupts.number or 0))


def _rate(loop: Loop, step: int, batches: int) -> float:
    """Return the learning rate: warmup and decay over the float epochs, one more decay over those of quantisation-aware
    training.
    """
    steps = loop.float_epochs * batches
    if step >= steps:
        return learning_rate(step - steps, loop.epochs * batches - steps, 0, loop.peak * qat.RATE)
    return learning_rate(step, steps, int(min(loop.recipe.warmup_epochs, loop.float_epochs / 2) * batches), loop.peak)


def _checkpoint(loop: Loop, stop: int) -> None:
    """Save now and then; save and stop when a signal came, of number `stop`, to any process."""
    started = time.monotonic()
    if loop.group.rank == 0 and (stop or started - loop.saved > max(CHECKPOINT_SECONDS, loop.saving / SAVING_SHARE)):
        loop.state.save(loop.run.checkpoint)
        loop.saved = time.monotonic()
        loop.saving = loop.saved - started
    if stop:
        done = f"{loop.state.progress.epoch} of {loop.epochs} epochs"
        raise Interrupted(stop, f"stopped after {done} and saved; go on with: mobilenets {loop.run.go_on}")


def finish_epoch(loop: Loop, keep: Callable[[Loop, float, bool], None]) -> Progress:
    """Validate the averaged weights, write the row, save.

    `keep` receives the loop, the score and whether it is the best so far, and keeps the averaged weights in the run.
    """
    progress = loop.state.progress
    score, loss = validate(loop, loop.state.averaged, loop.val)
    row = {
        "epoch": progress.epoch + 1,
        "lr": max(group["lr"] for group in loop.state.optimiser.param_groups),
        "train_loss": progress.loss / progress.seen,
        "val_loss": loss,
        f"val_{loop.task.score}": score,
        "images_per_second": loop.speed,
        "seconds": time.monotonic() - loop.epoch_started,
    }
    progress.history.append(row)
    best = (score, -loss) > progress.best
    if best:
        progress.best, progress.best_epoch = (score, -loss), progress.epoch
    keep(loop, score, best)
    progress.epoch, progress.batch = progress.epoch + 1, 0
    progress.loss, progress.seen = 0.0, 0
    loop.run.write_results(progress.history)
    loop.watch.epoch(row)
    _checkpoint(loop, loop.interrupts.number or 0)
    return progress


def _keep(loop: Loop, score: float, best: bool) -> None:
    """Save the model of the averaged weights as the last, and where it is the best so far as that."""
    model = _model(loop, loop.state.averaged, score)
    if not loop.activations:
        model.save(loop.run.last)
        if best:
            model.save(loop.run.best)
    elif best:
        _save_integers(loop, model)


def _out_of_patience(loop: Loop) -> bool:
    progress, patience = loop.state.progress, loop.recipe.patience
    if patience is None or progress.epoch - 1 - progress.best_epoch < patience:
        return False
    after = f"stopped after epoch {progress.epoch}"
    loop.watch.note(f"no better validation {figure_name(loop.task.score)} for {patience} epochs: {after}")
    return True


def _model(loop: Loop, module: nn.Module, score: float) -> Model:
    return loop.run.model(weights_of(module.state_dict()), loop.labels, loop.data, score, loop.head_config)


def validate(loop: Loop, module: nn.Module, images: Images) -> tuple[float, float]:
    """Return (score, loss) of `module` on `images` in fp32."""
    batches = plain_batches(images, EVAL_BATCH)
    outputs = torch.cat([loop.replicas.outputs(module, batch.pixels) for batch in batches])
    return loop.task.validate(outputs, images.targets, loop.head_config)


def _save_integers(loop: Loop, model: Model) -> None:
    """Save the int8 network that was validated, with the digest of the float network that it was trained from."""
    integers = qat.to_model(loop.state.averaged, loop.activations, model)
    origin = {"from_sha256": load(loop.run.best).digest(), "rule": "learned"}
    replace(integers, data={**model.data, "quantized": origin}).save(loop.run.integers)


def _finalise(loop: Loop) -> Model:
    """Return the best float model."""
    loop.state.save(loop.run.checkpoint)
    if loop.recipe.quantize:
        score = f"{figure_name(loop.task.score)} {loop.state.progress.best[0]:.2%}"
        loop.watch.note(f"int8: val {score}, in {loop.run.integers}")
        return load(loop.run.best)
    best = _keep_best(loop, load(loop.run.best))
    loop.state.save(loop.run.checkpoint)
    return best


def _keep_best(loop: Loop, best: Model) -> Model:
    """Save and return the run's best model: `best`, its batch-norm statistics re-estimated where that does no
    harm.
    """
    module, before = _loaded(loop, best), loop.state.progress.best
    measure_statistics(loop, module)
    again, loss = validate(loop, module, loop.val)
    score, name = before[0], figure_name(loop.task.score)
    text = f"val {name} {score:.2%}"
    if (again, -loss) > before:
        best = _model(loop, module, again)
        if again > score:
            text = f"batch-norm statistics re-estimated: {text} -> {again:.2%}"
    loop.watch.note(f"best: epoch {loop.state.progress.best_epoch + 1}, {text}")
    best.save(loop.run.best)
    return best


def _loaded(loop: Loop, model: Model) -> nn.Module:
    module = module_of(loop.run.settings, loop.head_config)
    module = module.to(loop.replicas.device).to(memory_format=torch.channels_last)
    load_weights(module, model.weights)
    return module.eval()


@torch.no_grad()
def measure_statistics(loop: Loop, module: nn.Module) -> None:
    """Measure batch norm's mean and variance, averaged evenly over training images preprocessed as in evaluation."""
    norms = [layer for layer in module.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # in PyTorch the plain average of all batches
    module.train()
    fuse(module, bf16=False)
    torch.set_num_threads(loop.recipe.replicas)  # one module now, on all the cores that the replicas had
    images = loop.train.images
    for pixels in central_batches(images, loop.train.preprocess, EVAL_BATCH, STATISTICS_IMAGES):
        if len(pixels) > 1:
            module(loop.replicas.to_input(pixels))
    torch.set_num_threads(1)
    module.eval()
