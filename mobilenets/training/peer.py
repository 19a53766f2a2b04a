"""The training of another network of the paper's comparisons, as `fit` trains a MobileNet: the same images, batches,
schedule, optimiser and averaged weights; resumable to the same weights, bit for bit.
"""

import numpy as np
from safetensors.numpy import load_file, save
from torch import nn

from ..data.sources import Dataset
from ..errors import TrainingError
from ..files import write_atomic
from ..progress import Watch
from .fit import finish_epoch, measure_statistics, prepared, train_epoch, unfinished, validate
from .group import Group
from .images import decode
from .loop import Loop
from .module import load_weights, weights_of
from .run import Run

__all__ = ["fit_peer"]


def fit_peer(dataset: Dataset, run: Run, split: str, watch: Watch | None = None) -> tuple[dict[str, np.ndarray], float]:
    """Train the peer of `run.settings` from the run's checkpoint, where it has one; keep its best weights in the run.

    Return these weights and their score on `split`. Raises as `fit`.
    """
    with prepared(dataset, run, watch or Watch(), Group()) as loop:
        while unfinished(loop, loop.epochs):
            train_epoch(loop)
            loop.state.progress = finish_epoch(loop, _keep)
        module = _best(loop)
        images = decode(dataset, split, run.settings, loop.watch, loop.interrupts, None)
        return weights_of(module.state_dict()), validate(loop, module, images)[0]


def _keep(loop: Loop, score: float, best: bool) -> None:
    """Keep the averaged weights in the run where they are the best so far."""
    if best:
        _save(loop, loop.state.averaged)


def _save(loop: Loop, module: nn.Module) -> None:
    """Write the weights by torchvision's names; raise `TrainingError` where they are not finite."""
    weights = weights_of(module.state_dict())
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise TrainingError(f"training diverged ({name} is not finite): lower --lr (now {loop.peak:g})")
    metadata = {"format": "mobilenets.peer", "network": str(loop.run.settings.peer)}
    write_atomic(loop.run.weights, save(weights, metadata))


def _best(loop: Loop) -> nn.Module:
    """Return the best network, its batch-norm statistics re-estimated where that does no harm, as `fit` does."""
    module = loop.state.averaged
    load_weights(module, load_file(loop.run.weights))
    if any(isinstance(layer, nn.BatchNorm2d) for layer in module.modules()):
        before = weights_of(module.state_dict())
        measure_statistics(loop, module)
        score, loss = validate(loop, module, loop.val)
        if (score, -loss) > loop.state.progress.best:
            _save(loop, module)
        else:
            load_weights(module, before)
    return module
