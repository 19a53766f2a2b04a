"""Post-training quantisation: a trained network and some hundred images become integers, and what that costs is said.

Batch norms are folded, channels equalised, ranges chosen by the rule whose network agrees best with the float one on
images that were held back, biases corrected, and each layer compared with what it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import UsageError
from ..image import Pixels
from ..model import Model
from . import reference
from .calibrate import RULES, ranges_by
from .correct import correct_biases
from .equalise import equalise
from .integers import to_integers
from .observe import Activations, batches, channel_ranges, histograms, mean_sums
from .scheme import Floats, Integers, QuantModel

__all__ = ["Choices", "Loss", "Quantized", "Tried", "quantize"]

Run = Callable[[QuantModel, Pixels], Integers]  # (N, H, W, C) uint8 -> logits (N, classes) int8

FEWEST = 10  # images: below that no held-back part says anything
HELD_BACK = 0.25
MOST_COMPARED = 64  # images of which each layer is compared


@dataclass(frozen=True, slots=True)
class Choices:
    """What is done; all else than the default is for comparison."""

    rule: str | None = None  # of ranges: a key of RULES; None: the one that agrees best
    equalised: bool = True
    corrected: bool = True
    per_channel: bool = True  # one scale for each output channel of the weights, or for each layer

    def __post_init__(self) -> None:
        if self.rule is not None and self.rule not in RULES:
            raise UsageError(f"rule {self.rule!r} must be one of {', '.join(RULES)}")


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule of ranges, on the images that were held back."""

    rule: str
    agreement: float  # share of images whose largest logit is that of the float network
    snr: float  # dB, of the logits


@dataclass(frozen=True, slots=True)
class Loss:
    """How much louder than its rounding one layer's output is, in dB."""

    name: str
    snr: float


@dataclass(frozen=True, slots=True)
class Quantized:
    """The network in integers, the rules that were tried (the chosen one first) and what each layer lost."""

    model: QuantModel
    tried: tuple[Tried, ...]
    losses: tuple[Loss, ...]
    images: int


def quantize(
    model: Model,
    images: Pixels,
    activations: Callable[[Model], Activations],
    choices: Choices | None = None,
    run: Run = reference.run,
) -> Quantized:
    """`images` (N, H, W, C) uint8 as the network sees them, of all that it will see; 200 to 500 are enough.

    `activations` opens a float network (see `observe.Activations`), `run` runs one of integers.
    """
    choices = choices or Choices()
    if len(images) < FEWEST:
        raise UsageError(f"{len(images)} images to calibrate on: must be at least {FEWEST}, better 200 to 500")
    order = np.random.default_rng(0).permutation(len(images))
    held, kept = (np.sort(part) for part in np.split(order, [int(len(images) * HELD_BACK)]))
    open_model = activations(model)
    ranges = channel_ranges(open_model, images[kept])
    if choices.equalised:
        model, factors = equalise(model, ranges)
        ranges = {name: _divided(values, factors.get(name)) for name, values in ranges.items()}
        open_model = activations(model)
    whole = {name: (float(low.min()), float(high.max())) for name, (low, high) in ranges.items() if name != "pool"}
    found = histograms(open_model, images[kept], whole)
    wanted = mean_sums(model, open_model, images[kept])
    expected = np.concatenate([open_model(batch)["fc"] for batch in batches(images[held])])
    tried: dict[str, tuple[Tried, QuantModel]] = {}
    for rule in [choices.rule] if choices.rule else RULES:
        integers = to_integers(model, ranges_by(rule, found), choices.per_channel)
        if choices.corrected:
            integers = correct_biases(integers, wanted, images[kept])
        tried[rule] = _tried(rule, integers, run(integers, images[held]), expected), integers
    ranked = sorted(tried.values(), key=lambda pair: (-pair[0].agreement, -pair[0].snr))
    chosen = ranked[0][1]
    losses = _losses(chosen, open_model, images[held][:MOST_COMPARED])
    return Quantized(chosen, tuple(pair[0] for pair in ranked), losses, len(images))


def _divided(values: tuple[Floats, Floats], factor: Any) -> tuple[Floats, Floats]:
    low, high = values
    return values if factor is None else ((low / factor).astype(np.float32), (high / factor).astype(np.float32))


def _tried(rule: str, model: QuantModel, logits: Integers, expected: Floats) -> Tried:
    real = model.activations["fc"].real(logits)
    agreement = float((real.argmax(axis=1) == expected.argmax(axis=1)).mean())
    return Tried(rule, agreement, decibels(np.square(expected).sum(), np.square(expected - real).sum()))


def _losses(model: QuantModel, run: Activations, images: Pixels) -> tuple[Loss, ...]:
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for batch in batches(images):
        expected: Mapping[str, Floats] = run(batch)
        for name, integers in reference.steps(model, batch):
            if name in expected:
                error = np.square(model.activations[name].real(integers) - expected[name]).sum(dtype=np.float64)
                noise[name] = noise.get(name, 0.0) + float(error)
                signal[name] = signal.get(name, 0.0) + float(np.square(expected[name]).sum(dtype=np.float64))
    return tuple(Loss(name, decibels(signal[name], noise[name])) for name in signal)


def decibels(signal: Any, noise: Any) -> float:
    """10 log10(signal / noise), from -99 to 99."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.clip(np.nan_to_num(10 * np.log10(np.float64(signal) / noise), nan=99, posinf=99), -99, 99))
