"""Made images with attributes and identities that a network can tell apart in seconds."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.arch.network import Block, Network
from mobilenets.training.recipe import Recipe

NAMES = ("red", "green", "blue")
NETWORK = Network(0.5, 32, 32, blocks=(Block(2, 32), Block(1, 64)))
RECIPE = Recipe(epochs=6, batch_size=32, device="cpu", replicas=2, workers=2, warmup_epochs=1, ema=0.9, augment=0.2)


def save(path: Path, colour: Sequence[float], rng: np.random.Generator) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.clip(rng.normal(colour, 30, (40, 36, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(path)


def make_marked(folder: Path, count: int = 96, missing: bool = False) -> Path:
    """`attributes.csv` and `images/`: each of three colours is bright or not; perhaps some are not known."""
    rng = np.random.default_rng(0)
    lines = [",".join(("path", *NAMES))]
    for i in range(count):
        marks = rng.integers(0, 2, 3)
        save(folder / "images" / f"{i}.png", 60 + 120 * marks, rng)
        cells = [str(mark) if not missing or rng.random() > 0.2 else "" for mark in marks]
        lines.append(",".join((f"{i}.png", *cells)))
    (folder / "attributes.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_identities(folder: Path, identities: int = 12, photos: int = 6) -> Path:
    """A folder for each identity: a colour of its own."""
    rng = np.random.default_rng(1)
    for i in range(identities):
        colour = rng.uniform(20, 235, 3)
        for photo in range(photos):
            save(folder / f"person{i}" / f"{photo}.png", colour, rng)
    return folder
