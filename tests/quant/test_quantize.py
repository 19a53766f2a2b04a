"""Folding, equalisation, ranges, bias correction: each against what it promises, and the whole on a trained network."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_reference import TINY

from mobilenets.arch.fold import fold_batch_norm, unfold
from mobilenets.arch.network import Network
from mobilenets.errors import UsageError
from mobilenets.image import Preprocess, normalise
from mobilenets.model import Model
from mobilenets.quant import reference
from mobilenets.quant.calibrate import RULES, ranges_by
from mobilenets.quant.conversion import SMALLEST_SCALE, image_scale, quant_params, to_integers
from mobilenets.quant.correct import correct_biases
from mobilenets.quant.equalise import equalise
from mobilenets.quant.observe import BINS, Activations, Histogram, channel_ranges, histograms, mean_sums
from mobilenets.quant.post_training import Choices, quantize
from mobilenets.runtime.activations import open_activations


def draw_images(network: Network, count: int = 24, seed: int = 0) -> np.ndarray:
    """Smooth, as photographs are: noise enlarged, each image with a brightness of its own."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(0, 40, (count, -(-network.height // 4), -(-network.width // 4), network.channels))
    coarse += rng.uniform(40, 215, (count, 1, 1, network.channels))
    fine = coarse.repeat(4, axis=1).repeat(4, axis=2)[:, : network.height, : network.width]
    return np.clip(fine, 0, 255).astype(np.uint8)


def uneven(model: Model, seed: int = 0) -> Model:
    """The same function, nearly: channels of each convolution up to 30 times larger, taken as much smaller behind."""
    graph, weights = fold_batch_norm(model.graph, model.weights)
    rng = np.random.default_rng(seed)
    names = [op.name for op in graph.ops if f"{op.name}.weight" in weights]
    for first, second in pairwise(names):
        factor = np.exp(rng.uniform(-3.4, 3.4, len(weights[f"{first}.bias"]))).astype(np.float32)
        weights[f"{first}.weight"] *= factor.reshape(-1, 1, 1, 1)
        weights[f"{first}.bias"] *= factor
        kernel = weights[f"{second}.weight"]
        depthwise = kernel.ndim == 4 and kernel.shape[1] == 1
        kernel /= factor.reshape((-1, 1, 1, 1) if depthwise else (1, -1, 1, 1)[: kernel.ndim])
    return replace(model, weights=unfold(model.graph, weights))


def whole(ranges):  # type: ignore[no-untyped-def]
    return {name: (float(low.min()), float(high.max())) for name, (low, high) in ranges.items()}


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.sqrt(np.square(vectors).sum(axis=1, keepdims=True))


def test_unfolding_is_the_inverse_of_folding(random_model) -> None:
    model = random_model(TINY)
    _, folded = fold_batch_norm(model.graph, model.weights)
    _, again = fold_batch_norm(model.graph, unfold(model.graph, folded))
    assert all(np.allclose(again[name], folded[name], rtol=1e-6, atol=0) for name in folded)


@given(st.floats(-100, 100), st.floats(-100, 100))
def test_a_range_is_covered_and_0_is_one_of_its_integers(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    scale = quant_params(low, high, 1e-9)
    assert -128 <= scale.zero_point <= 127
    step = scale.scale
    assert step * (-128 - scale.zero_point) <= min(low, 0) + 0.51 * step + 1e-6
    assert step * (127 - scale.zero_point) >= max(high, 0) - 0.51 * step - 1e-6


@pytest.mark.parametrize("mean", [127.5, 0.0, 128.0, (123.675, 116.28, 103.53), 500.0])
@pytest.mark.parametrize("std", [127.5, 255.0, (58.395, 57.12, 57.375)])
def test_image_scale_gain_and_offset_are_the_normalisation(mean, std) -> None:
    preprocess = Preprocess(8, 8, 3, mean=mean, std=std)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    image, gain, offset = image_scale(preprocess)
    found = gain * image.real(reference.from_pixels(pixels)) + offset
    assert np.allclose(found, normalise(pixels, preprocess), atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [
        TINY,
        TINY.replace(activation="relu6", padding="same"),
        TINY.replace(channels=1, head=4),
        TINY.replace(convolution="full"),
    ],
    ids=["relu", "relu6", "grey, head", "full"],
)
def test_integers_follow_the_floats(network: Network, random_model) -> None:
    model = random_model(network)
    images = draw_images(network)
    run = open_activations(model)
    integers = to_integers(model, whole(channel_ranges(run, images)))
    expected = run(images)
    for name, found in reference.steps(integers, images):
        if name != "image":
            error = integers.activations[name].real(found) - expected[name]
            assert np.square(error).sum() < 0.01 * np.square(expected[name]).sum(), name


def test_per_channel_weights_lose_less_than_per_tensor(random_model) -> None:
    model = random_model(TINY)
    model.weights["fc.weight"][1:] *= 30
    ranges = whole(channel_ranges(open_activations(model), draw_images(TINY)))
    errors = []
    for per_channel in (True, False):
        layer = to_integers(model, ranges, per_channel).layers["fc"]
        errors.append(np.abs(layer.weight * layer.scale[:, None] - model.weights["fc.weight"])[0].max())
    assert errors[0] < errors[1] / 10


@pytest.mark.parametrize("per_channel", [True, False])
def test_a_layer_of_zeros_gives_its_biases(random_model, per_channel: bool) -> None:
    """Its scale is that of a channel of zeros beside a largest weight of 1: fine enough for any bias."""
    model = random_model(TINY)
    model.weights["fc.weight"][:] = 0
    run, images = open_activations(model), draw_images(TINY)
    integers = to_integers(model, whole(channel_ranges(run, images)), per_channel)
    layer, step = integers.layers["fc"], integers.activations["fc"]
    assert (layer.scale == np.float32(SMALLEST_SCALE)).all() and not layer.weight.any()
    assert (np.abs(step.real(reference.run(integers, images)) - model.weights["fc.bias"]) <= 0.51 * step.scale).all()


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_equalising_leaves_the_function_as_it_was(random_model, activation: str) -> None:
    model = random_model(TINY.replace(activation=activation))
    images = draw_images(TINY)
    run = open_activations(model)
    equal, ranges = equalise(model, channel_ranges(run, images))
    found, expected = open_activations(equal)(images), run(images)
    assert np.allclose(found["fc"], expected["fc"], atol=1e-4 * np.abs(expected["fc"]).max())
    measured = channel_ranges(open_activations(equal), images)
    for name in ranges:
        assert np.allclose(measured[name][1], ranges[name][1], rtol=1e-3, atol=1e-5), name
    if activation == "relu6":
        assert all(high.max() < 6 for name, (_, high) in ranges.items() if name != "fc" and expected[name].max() < 5.4)


def test_equalising_makes_channels_equal_before_a_depthwise_layer(random_model) -> None:
    model = uneven(random_model(TINY))
    images = draw_images(TINY)
    _, ranges = equalise(model, channel_ranges(open_activations(model), images))
    high = ranges["conv0"][1]
    assert high[high > 0].max() == pytest.approx(high[high > 0].min(), rel=1e-3)


def test_equalising_shares_each_factor_between_activations_and_the_weights_behind(random_model) -> None:
    """A channel's range is then as large, in its array, as the weights that take it; not before a depthwise layer."""
    model = uneven(random_model(TINY))
    before = channel_ranges(open_activations(model), draw_images(TINY))
    equal, ranges = equalise(model, before)
    for taken, found in ((model, before), (equal, ranges)):
        _, weights = fold_batch_norm(taken.graph, taken.weights)
        for first, second in (("dw1", "pw1"), ("dw2", "pw2"), ("pw2", "fc")):
            own, given = before[second][1], found[second][1]
            later = np.divide(own, given, out=np.ones_like(own), where=given > 0)  # what the next pair did to the rows
            kernel = np.abs(weights[f"{second}.weight"]).reshape(len(later), -1) * later[:, None]
            alive = found[first][1] > 0
            ratio = (found[first][1] / kernel.max(axis=0))[alive]
            assert len(ratio) > 2 and (ratio.max() < 1.001 * ratio.min()) == (taken is equal), second


def test_equalising_brings_back_what_uneven_channels_lose(random_model) -> None:
    model = uneven(random_model(TINY))
    images = draw_images(TINY, 40)
    snr = {
        equalised: quantize(model, images, open_activations, Choices("minmax", equalised)).tried[0].snr
        for equalised in (False, True)
    }
    assert snr[True] > snr[False] + 3


def test_bias_correction_restores_the_mean_of_every_sum(random_model) -> None:
    model = random_model(TINY)
    images = draw_images(TINY)
    run = open_activations(model)
    means = mean_sums(model, run, images)
    ranges = {name: (low, 0.7 * high) for name, (low, high) in whole(channel_ranges(run, images)).items()}
    plain = to_integers(model, ranges, per_channel=False)  # rounded and clipped coarsely
    corrected = correct_biases(plain, means, images)
    shift = {}
    for integers in (plain, corrected):
        real = integers.activations["fc"].real(reference.run(integers, images))
        shift[integers.digest()] = np.abs(real.mean(axis=0) - means["fc"]).max()
    step = corrected.activations["fc"].scale
    assert shift[corrected.digest()] < min(0.5 * step, shift[plain.digest()])


def test_mean_sums_are_those_of_the_float_network(random_model) -> None:
    """The classifier's sums have no activation behind them, so they are seen."""
    model = random_model(TINY)
    images = draw_images(TINY, 11)
    run = open_activations(model)
    assert np.allclose(mean_sums(model, run, images)["fc"], run(images)["fc"].mean(axis=0), atol=1e-4)


def test_histograms_count_every_value_once(random_model) -> None:
    model = random_model(TINY)
    images = draw_images(TINY, 11)
    run = open_activations(model)
    found = histograms(run, images, whole(channel_ranges(run, images)))
    for name, values in run(images).items():
        if name != "pool":
            assert found[name].counts.sum() == values.size
            middle = (found[name].counts @ found[name].centres) / values.size
            assert middle == pytest.approx(values.mean(), abs=(found[name].high - found[name].low) / BINS)


def test_rules_choose_as_they_say() -> None:
    counts = np.zeros(BINS)
    counts[: BINS // 4], counts[-1] = 1e6, 1.0  # a quarter of the range, and one value far out
    histogram = Histogram(0.0, 8.0, counts)
    found = {rule: ranges_by(rule, {"pw1": histogram})["pw1"] for rule in RULES}
    assert found["minmax"] == (0.0, 8.0)
    assert found["percentile"][1] == pytest.approx(2.0, abs=0.02)
    assert 1.9 < found["mse"][1] < 3
    assert ranges_by("percentile", {"fc": histogram})["fc"] == (0.0, 8.0)


def test_the_best_rule_comes_first_and_every_layer_is_compared(random_model) -> None:
    model = random_model(TINY)
    found = quantize(model, draw_images(TINY, 40), open_activations)
    order = [(-tried.agreement, -tried.snr) for tried in found.tried]
    assert order == sorted(order) and len(order) == 2 * len(RULES)
    assert [loss.name for loss in found.losses] == ["conv0", "dw1", "pw1", "dw2", "pw2", "pool", "fc"]
    assert min(loss.snr for loss in found.losses) > 15
    assert found.images == 40
    assert found.model.labels == model.labels


@pytest.mark.parametrize(
    ("output", "same"),
    [
        ("softmax", lambda one, other: (one.argmax(axis=1) == other.argmax(axis=1)).mean()),
        ("sigmoid", lambda one, other: ((one > 0) == (other > 0)).mean()),
        ("l2_normalise", lambda one, other: ((unit(one) * unit(other)).sum(axis=1)).mean()),
    ],
)
def test_a_network_is_judged_on_images_that_it_was_not_fitted_to(random_model, output: str, same) -> None:
    """The network that is opened first is asked for ranges; what it is not shown was held back."""
    model, images, shown = random_model(TINY.replace(output=output)), draw_images(TINY, 40), []

    def recording(model: Model) -> Activations:
        run, own = open_activations(model), set()
        shown.append(own)
        return lambda batch: own.update(image.tobytes() for image in batch) or run(batch)

    found = quantize(model, images, recording, Choices("mse", equalised=False))
    fitted = np.array([image.tobytes() in shown[0] for image in images])
    kept, held, run = images[fitted], images[~fitted], open_activations(model)
    assert len(held) == found.held_back == 10
    ranges = ranges_by("mse", histograms(run, kept, whole(channel_ranges(run, kept))))
    wanted = correct_biases(to_integers(model, ranges), mean_sums(model, run, kept), kept)
    assert found.model.digest() == wanted.digest()
    expected, (tried,) = run(held)["fc"], found.tried
    real = wanted.activations["fc"].real(reference.run(wanted, held))
    assert tried.snr == pytest.approx(10 * np.log10(np.square(expected).sum() / np.square(real - expected).sum()))
    assert tried.agreement == pytest.approx(same(real, expected), abs=1e-6)


def test_losses_are_those_against_the_floats_that_the_chosen_integers_were_made_from(random_model) -> None:
    """Whose channels differ, by the factors of equalisation, from those of the network that was given."""
    model, images = uneven(random_model(TINY)), draw_images(TINY, 40)
    opened: list[Model] = []
    found = quantize(model, images, lambda model: opened.append(model) or open_activations(model))
    assert found.tried[0].equalised and {tried.equalised for tried in found.tried} == {False, True}
    held = np.sort(np.random.default_rng(0).permutation(40)[:10])
    expected = open_activations(opened[-1])(images[held])
    given = open_activations(model)(images[held])
    assert not np.allclose(given["dw1"], expected["dw1"], rtol=0.5)
    steps = dict(reference.steps(found.model, images[held]))
    for loss in found.losses:
        error = found.model.activations[loss.name].real(steps[loss.name]) - expected[loss.name]
        snr = 10 * np.log10(np.square(expected[loss.name]).sum() / np.square(error).sum())
        assert loss.snr == pytest.approx(snr, abs=0.01), loss.name


def test_too_few_images_and_unknown_rules_are_refused(random_model) -> None:
    with pytest.raises(UsageError, match="9 images to calibrate on: must be at least 10"):
        quantize(random_model(TINY), draw_images(TINY, 9), open_activations)
    with pytest.raises(UsageError, match="rule 'kl' must be one of minmax, percentile, mse"):
        Choices("kl")


def test_dead_channels_and_heavy_biases_are_held(random_model) -> None:
    model = random_model(TINY)
    graph, weights = fold_batch_norm(model.graph, model.weights)
    weights["pw1.weight"][0] = 0
    weights["pw1.weight"][1] *= 1e-12
    weights["pw1.bias"][:2] = 3.0, 5.0
    weights["dw2.weight"][:] = 0
    model = replace(model, weights=unfold(model.graph, weights))
    images = draw_images(TINY)
    run = open_activations(model)
    integers = to_integers(model, whole(channel_ranges(run, images)))
    found = dict(reference.steps(integers, images))["pw1"]
    real = integers.activations["pw1"].real(found)
    assert np.allclose(real[..., 0], 3, atol=integers.activations["pw1"].scale)
    assert np.allclose(real[..., 1], 5, atol=integers.activations["pw1"].scale)
    assert graph.op("pw1").shape_out[2] == real.shape[3]
