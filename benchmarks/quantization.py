"""What int8 costs ImageNet networks: top-1 before and after, and what it would be without equalisation, correction and
a scale for each channel.

    python benchmarks/quantization.py PHOTOS MODEL [MODEL ...]

PHOTOS: a folder of one photograph a class, sorted by class. Two folds: calibrated on every other photograph, judged on
the rest, and the other way round, so that all are judged and none by a network that was calibrated on it.
"""

import argparse
from pathlib import Path

import numpy as np

from mobilenets.convert import open_model
from mobilenets.image import Pixels, prepare
from mobilenets.model import Model
from mobilenets.quant.file import load
from mobilenets.quant.quantize import Choices, quantize
from mobilenets.runtime import open_session
from mobilenets.runtime.activations import open_activations
from mobilenets.tasks.evaluation import wilson

IMAGES = 300  # to calibrate on, as `mobilenets quantize` takes
CHOICES = {
    "int8": Choices(),
    "not equalised": Choices(equalised=False),
    "equalised": Choices(equalised=True),
    "not corrected": Choices(corrected=False),
    "per tensor, neither": Choices("minmax", equalised=False, corrected=False, per_channel=False),
}


def answers(model, images: Pixels) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(N,) the class of the largest logit."""
    session = open_session(model)
    return np.concatenate([session.logits(images[i : i + 50]).argmax(axis=1) for i in range(0, len(images), 50)])


def folds(model: Model, images: Pixels, choices: Choices) -> np.ndarray:
    """(N,) answers of int8 networks that were calibrated on other images."""
    found = np.empty(len(images), np.int64)
    for half in (0, 1):
        calibration = images[np.random.default_rng(half).permutation(np.arange(1 - half, len(images), 2))[:IMAGES]]
        integers = quantize(model, calibration, open_activations, choices).model
        found[half::2] = answers(integers, images[half::2])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("models", nargs="+")
    flags = parser.parse_args()
    print("| network | weights | top-1 | drop, points | same answer |\n| --- | --- | --- | --- | --- |", flush=True)
    for name in flags.models:
        opened = open_model(name)
        model = opened if isinstance(opened, Model) else load(opened)
        assert isinstance(model, Model), f"{name} is int8 already"
        images = np.stack([prepare(path, model.preprocess) for path in sorted(flags.photos.glob("*.jpg"))])
        truth, before = np.arange(len(images)), answers(model, images)
        low, high = wilson(int((before == truth).sum()), len(images))
        print(
            f"| {Path(name).name} | float | {(before == truth).mean():.1%} ({low:.1%} to {high:.1%}) | | |", flush=True
        )
        for what, choices in CHOICES.items():
            after = folds(model, images, choices)
            drop = (before == truth).mean() - (after == truth).mean()
            top1, same = (after == truth).mean(), (after == before).mean()
            print(f"| | {what} | {top1:.1%} | {drop * 100:+.1f} | {same:.1%} |", flush=True)


if __name__ == "__main__":
    main()
