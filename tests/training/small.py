"""Runs so small that a naive loop can follow them: images that no view changes, a network of five convolutions."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from mobilenets.arch import Network, expand
from mobilenets.arch.network import Block
from mobilenets.data.sources import Dataset, open_dataset
from mobilenets.image import Preprocess, normalise, prepare
from mobilenets.model import Model, load
from mobilenets.progress import Watch
from mobilenets.training.device import resolve
from mobilenets.training.fit import fit
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.training.recipe import Recipe
from mobilenets.training.run import Run, Settings

COLOURS = ((80, 90, 150), (90, 140, 90), (150, 90, 80))
NETWORK = Network(0.5, 32, 32, classes=3, blocks=(Block(2, 32), Block(1, 64)))
PREPROCESS = Preprocess(32, 32, crop=1.0)
DEFAULTS: dict[str, Any] = {
    "epochs": 3,
    "batch_size": 16,
    "warmup_epochs": 1,
    "augment": 0.0,
    "flip": False,
    "precision": "fp32",
    "device": "cpu",
    "replicas": 1,
    "workers": 1,
}


def make_squares(folder: Path, train: int = 12, val: int = 6, noise: float = 60) -> Path:
    """`train` and `val` noisy images a class, as large as the network takes them: a view of strength 0 is the image."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for label, colour in enumerate(COLOURS):
            place = folder / split / str(label)
            place.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(colour, noise, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.png")
    return folder


def small_run(data: Path, folder: Path, network: Network = NETWORK, **recipe: Any) -> Run:
    """A new run on one thread; `recipe` over `DEFAULTS`."""
    settled = resolve(Recipe(**{**DEFAULTS, **recipe}), network.alpha)
    return Run.create(folder, Settings(str(data), network, PREPROCESS, settled), ("0", "1", "2"), unique=False)


class Kept(Watch):
    """What each epoch left in the run's folder, what was noted."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.rows: list[dict[str, float]] = []
        self.last: list[Model] = []
        self.best: list[Model] = []
        self.notes: list[str] = []

    def epoch(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        self.last.append(load(self.run.last))
        self.best.append(load(self.run.best))

    def note(self, text: str) -> None:
        self.notes.append(text)


def trained(data: Path, folder: Path, **recipe: Any) -> tuple[Model, Kept]:
    """The model that `fit` gives, and what its epochs left."""
    run = small_run(data, folder, **recipe)
    kept = Kept(run)
    return fit(open_dataset(data), run, kept), kept


def images_of(dataset: Dataset, split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(inputs (N, 3, H, W), class indices), as evaluation sees them, in order."""
    samples = dataset.splits[split]
    pixels = np.stack([prepare(sample.read(), PREPROCESS) for sample in samples])
    x = torch.from_numpy(normalise(pixels, PREPROCESS)).permute(0, 3, 1, 2)
    return x, torch.tensor([sample.target for sample in samples])


def module_with(model: Model) -> MobileNet:
    """torch's layers with the weights of `model`."""
    module = MobileNet(expand(model.network))
    load_weights(module, model.weights)
    return module.eval()


@torch.no_grad()
def figures(module: nn.Module, x: torch.Tensor, targets: torch.Tensor) -> tuple[float, float]:
    """(top-1, cross-entropy)."""
    logits = module.eval()(x)
    return float((logits.argmax(1) == targets).float().mean()), float(nn.functional.cross_entropy(logits, targets))
