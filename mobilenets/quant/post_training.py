"""Post-training quantisation with some hundred images, and its cost in accuracy.

Batch norms are folded, channels equalised, ranges chosen by the rule whose network agrees best with the float one on
held-out images, biases corrected, and each layer compared with its float output.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..arrays import Floats
from ..errors import UsageError
from ..image import Pixels
from ..model import Model
from . import reference
from .calibrate import RULES, ranges_by
from .conversion import to_integers
from .correct import correct_biases
from .equalise import equalise
from .observe import Activations, Ranges, batches, channel_ranges, histograms, mean_sums, whole
from .scheme import QuantModel

__all__ = ["FEWEST", "Choices", "Loss", "Quantized", "Tried", "quantize"]

FEWEST = 10  # images: fewer leave too few held-out ones
HELD_BACK = 0.25
MOST_CORRECTED = 128  # images from which biases are corrected: enough for their means
MOST_COMPARED = 64  # images on which each layer is compared


@dataclass(frozen=True, slots=True)
class Choices:
    """Settings of quantisation. None: the choice that agrees best with the float network on held-out images."""

    rule: str | None = None  # of ranges: a key of RULES
    equalised: bool | None = None
    corrected: bool = True
    per_channel: bool = True  # one scale for each output channel of the weights, or for each layer

    def __post_init__(self) -> None:
        if self.rule is not None and self.rule not in RULES:
            raise UsageError(f"rule {self.rule!r} must be one of {', '.join(RULES)}")


@dataclass(frozen=True, slots=True)
class Tried:
    """One rule of ranges, with or without equalisation, and its results on the held-out images."""

    rule: str
    equalised: bool
    agreement: float  # with the float network, see `reference.agreement`
    snr: float  # dB, of the logits


@dataclass(frozen=True, slots=True)
class Loss:
    """The signal-to-noise ratio of one layer's output in dB, rounding being the noise."""

    name: str
    snr: float


@dataclass(frozen=True, slots=True)
class Quantized:
    """The int8 network, the settings tried (the chosen first) and the loss of each layer."""

    model: QuantModel
    tried: tuple[Tried, ...]
    losses: tuple[Loss, ...]
    images: int
    held_back: int  # of the images, on which `tried` was evaluated


def quantize(
    model: Model, images: Pixels, activations: Callable[[Model], Activations], choices: Choices | None = None
) -> Quantized:
    """Return the best int8 network of `model` and what was tried.

    `images` (N, H, W, C) uint8 are preprocessed images that represent all later input; 200 to 500 suffice.
    `activations` opens a float network, see `observe.Activations`. Raises `UsageError` for fewer than `FEWEST` images.
    """
    choices = choices or Choices()
    if len(images) < FEWEST:
        raise UsageError(f"{len(images)} images to calibrate on: must be at least {FEWEST}, better 200 to 500")
    order = np.random.default_rng(0).permutation(len(images))
    held, kept = (images[np.sort(part)] for part in np.split(order, [int(len(images) * HELD_BACK)]))
    ranges = channel_ranges(activations(model), kept)
    starts = {False: (model, ranges), True: equalise(model, ranges)}
    wanted = tuple(starts) if choices.equalised is None else (choices.equalised,)
    found: list[_Candidate] = []
    for equalised in wanted:
        found += _candidates(*starts[equalised], activations, kept, held, replace(choices, equalised=equalised))
    found.sort(key=lambda candidate: (-candidate.tried.agreement, -candidate.tried.snr))
    best = found[0]
    losses = _losses(best.integers, best.floats, held[:MOST_COMPARED])
    return Quantized(best.integers, tuple(candidate.tried for candidate in found), losses, len(images), len(held))


@dataclass(frozen=True, slots=True)
class _Candidate:
    tried: Tried
    integers: QuantModel
    floats: Activations  # of the float network


def _candidates(
    model: Model,
    ranges: Ranges,
    activations: Callable[[Model], Activations],
    kept: Pixels,
    held: Pixels,
    choices: Choices,
) -> Iterator[_Candidate]:
    """Yield `model` in int8 under each rule of ranges."""
    run, output = activations(model), model.network.output
    found = histograms(run, kept, whole(ranges))
    seen = kept[:MOST_CORRECTED]
    means = mean_sums(model, run, seen)
    expected = np.concatenate([run(batch)["fc"] for batch in batches(held)])
    for rule in [choices.rule] if choices.rule else RULES:
        integers = to_integers(model, ranges_by(rule, found), choices.per_channel)
        if choices.corrected:
            integers = correct_biases(integers, means, seen)
        real = integers.activations["fc"].real(reference.run(integers, held))
        same = reference.agreement(output, reference.ended(output, real), reference.ended(output, expected))
        wanted = expected.astype(np.float64)
        snr = decibels(np.square(wanted).sum(), np.square(wanted - real).sum())
        yield _Candidate(Tried(rule, bool(choices.equalised), same, snr), integers, run)


def _losses(model: QuantModel, run: Activations, images: Pixels) -> tuple[Loss, ...]:
    signal: dict[str, float] = {}
    noise: dict[str, float] = {}
    for batch in batches(images):
        expected: Mapping[str, Floats] = run(batch)
        for name, integers in reference.steps(model, batch):
            if name in expected:
                wanted = expected[name].astype(np.float64)
                error = np.square(model.activations[name].real(integers) - wanted).sum()
                noise[name] = noise.get(name, 0.0) + float(error)
                signal[name] = signal.get(name, 0.0) + float(np.square(wanted).sum())
    return tuple(Loss(name, decibels(signal[name], noise[name])) for name in signal)


def decibels(signal: Any, noise: Any) -> float:
    """Return 10 log10(signal / noise), clipped to -99 to 99."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.clip(np.nan_to_num(10 * np.log10(np.float64(signal) / noise), nan=99, posinf=99), -99, 99))
