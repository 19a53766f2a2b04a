"""Small photographs made up by the tests: three classes that a network can tell apart in seconds."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (40, 60, 200), "green": (50, 180, 60), "red": (200, 50, 40)}


def make_photos(folder: Path, train: int = 24, val: int = 8, side: int = 40) -> Path:
    """`train` and `val` noisy JPEGs a class, of uneven sizes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for label, colour in COLOURS.items():
            place = folder / split / label
            place.mkdir(parents=True)
            for i in range(count):
                shape = (side + int(rng.integers(0, 9)), side + int(rng.integers(0, 9)), 3)
                pixels = np.clip(rng.normal(colour, 60, shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(place / f"{i}.jpg", quality=90)
    return folder
