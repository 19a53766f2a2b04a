"""What int8 costs ImageNet networks: top-1 before and after, and what it would be without equalisation, correction and
a scale for each channel.

    python benchmarks/quantization.py PHOTOS MODEL [MODEL ...]

PHOTOS: a folder of one photograph a class, sorted by class. Two folds: calibrated on every other photograph, judged on
the rest, and the other way round, so that all are judged and none by a network that was calibrated on it.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from mobilenets.image import Pixels, prepare
from mobilenets.model import Model
from mobilenets.opening import open_model
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.runtime import open_session
from mobilenets.runtime.activations import open_activations
from mobilenets.tasks.evaluation import wilson

IMAGES = 300  # to calibrate on, as `mobilenets quantize` takes
# what is left out, with the rule of ranges that the first row chose
WITHOUT = {
    "not equalised": {"equalised": False},
    "equalised": {"equalised": True},
    "not corrected": {"corrected": False},
    "per tensor, neither": {"equalised": False, "corrected": False, "per_channel": False},
}


def answers(model, images: Pixels) -> np.ndarray:  # type: ignore[no-untyped-def]
    """(N,) the class of the largest logit."""
    session = open_session(model)
    return np.concatenate([session.logits(images[i : i + 50]).argmax(axis=1) for i in range(0, len(images), 50)])


def fold(model: Model, images: Pixels, half: int) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    """Answers for every other image, from `half` on, of int8 networks that were calibrated on the rest."""
    calibration = images[np.random.default_rng(half).permutation(np.arange(1 - half, len(images), 2))[:IMAGES]]
    found = quantize(model, calibration, open_activations)
    chosen = found.tried[0]
    rows = {"int8": answers(found.model, images[half::2])}
    same = Choices(chosen.rule, chosen.equalised)
    for what, left_out in WITHOUT.items():
        choices = replace(same, **left_out)  # type: ignore[arg-type]
        model_without = (
            found.model if choices == same else quantize(model, calibration, open_activations, choices).model
        )
        rows[what] = answers(model_without, images[half::2])
    print(f"fold {half}: {chosen.rule}, {'' if chosen.equalised else 'not '}equalised", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("models", nargs="+")
    flags = parser.parse_args()
    print("| network | weights | top-1 | points lost | same answer |\n| --- | --- | --- | --- | --- |", flush=True)
    for name in flags.models:
        model = open_model(name, floats=True).model
        assert isinstance(model, Model), f"{name} is int8 already"
        images = np.stack([prepare(path, model.preprocess) for path in sorted(flags.photos.glob("*.jpg"))])
        truth, before = np.arange(len(images)), answers(model, images)
        low, high = wilson(int((before == truth).sum()), len(images))
        right = (before == truth).mean()
        print(f"| {Path(name).name} | float | {right:.1%} ({low:.1%} to {high:.1%}) | | |", flush=True)
        rows = [fold(model, images, half) for half in (0, 1)]
        for what in rows[0]:
            after = np.empty(len(images), np.int64)
            after[0::2], after[1::2] = rows[0][what], rows[1][what]
            top1, same = (after == truth).mean(), (after == before).mean()
            print(f"| | {what} | {top1:.1%} | {(right - top1) * 100:+.1f} | {same:.1%} |", flush=True)


if __name__ == "__main__":
    main()
