"""The numpy interpreter against loops over Python's own integers, at the limits of the specification."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from mobilenets.arch.graph import weight_shapes
from mobilenets.arch.network import Block, Network
from mobilenets.arch.ops import CONVOLUTIONS, Op
from mobilenets.errors import UsageError
from mobilenets.image import Preprocess
from mobilenets.quant import reference
from mobilenets.quant.scheme import (
    IntegerLayer,
    QuantModel,
    QuantParams,
    limits,
    multipliers,
    pool_multiplier,
    requantise,
)

TINY = Network(stem=3, blocks=(Block(1, 4), Block(2, 5)), height=32, width=34, classes=3)


def draw_integers(network: Network, seed: int = 0, weights_zero: int = 0, harsh: float = 1.0) -> QuantModel:
    """Any integers at all; `harsh` stretches the sums, so that outputs saturate."""
    rng = np.random.default_rng(seed)
    draft = QuantModel.__new__(QuantModel)  # for its graph only
    object.__setattr__(draft, "network", network)
    shapes = weight_shapes(draft.graph)
    names = [name.removesuffix(".weight") for name in shapes if name.endswith(".weight")]
    layers = {}
    for name in names:
        shape = shapes[f"{name}.weight"]
        weight = rng.integers(-128, 128, shape).astype(np.int8)
        fan_in = int(np.prod(shape[1:]))
        scale = (harsh * rng.uniform(0.3, 1.5, shape[0]) / (100 * fan_in**0.5)).astype(np.float32)
        bias = rng.integers(-8000, 8000, shape[0]).astype(np.int32)
        layers[name] = IntegerLayer(weight, scale, bias, weights_zero)
    zero = {name: int(rng.choice([-128, 127, *rng.integers(-128, 128, 2)])) for name in ("image", *names)}
    activations = {name: QuantParams(float(rng.uniform(0.01, 0.05)), zero[name]) for name in ("image", *names)}
    last = [op.name for op in draft.graph.ops if op.kind in CONVOLUTIONS][-1]
    if network.output != "features":
        activations["pool"] = activations[last]
    labels = tuple(map(str, range(network.classes)))
    return QuantModel(network, activations, layers, Preprocess(network.height, network.width, network.channels), labels)


def float32(value: Fraction | int | float) -> np.float32:
    return np.float32(float(value))


def naive(model: QuantModel, image: np.ndarray) -> dict[str, list]:
    """One image, pixel by pixel, sums in Python's integers."""
    found, x = {}, {}
    height, width, channels = image.shape
    for y in range(height):
        for column in range(width):
            for c in range(channels):
                x[y, column, c] = int(image[y, column, c]) - 128
    source = model.activations["image"]
    ops = model.graph.ops
    for position, op in enumerate(ops[1:], 1):
        if op.name not in model.activations:
            continue
        target, (h, w, n) = model.activations[op.name], op.shape_out
        low, high = limits(target, ops[position + 1] if ops[position + 1].kind.startswith("relu") else None)
        out = {}
        for y in range(h):
            for column in range(w):
                for o in range(n):
                    total, factor = one_sum(model, op, x, source, target, y, column, o)
                    scaled = np.float32(total) * factor
                    nearest = round(Fraction(float(scaled)))  # Python rounds halves to even
                    out[y, column, o] = max(low, min(high, nearest + target.zero_point))
        x, source = out, target
        found[op.name] = [out[key] for key in sorted(out)]
    return found


def one_sum(model, op, x, source, target, y, column, o) -> tuple[int, np.float32]:
    if op.kind == "global_average_pool":
        h, w, _ = op.shape_in
        total = sum(x[i, j, o] - source.zero_point for i in range(h) for j in range(w))
        return total, np.float32(np.float32(source.scale) / np.float32(target.scale)) / np.float32(h * w)
    layer = model.layers[op.name]
    total = int(layer.bias[o])
    weight = layer.weight.reshape(*layer.weight.shape[:2], op.kernel, op.kernel)
    for i in range(op.kernel):
        for j in range(op.kernel):
            for c in range(weight.shape[1]):
                at = (y * op.stride + i - op.padding[0], column * op.stride + j - op.padding[1])
                q = x.get((*at, o if op.kind == "depthwise" else c), source.zero_point)
                total += (q - source.zero_point) * (int(weight[o, c, i, j]) - layer.zero_point)
    factor = np.float32(np.float32(source.scale) * layer.scale[o]) / np.float32(target.scale)
    return total, factor


@pytest.mark.parametrize(
    ("network", "weights_zero", "harsh"),
    [
        (TINY, 0, 1.0),
        (TINY.replace(activation="relu6", padding="same"), 0, 4.0),
        (TINY.replace(padding="keras", channels=1, head=6), 17, 2.0),
        (TINY.replace(convolution="full"), -128, 8.0),
    ],
    ids=["relu", "relu6, same", "grey, head, weights' zero point", "full"],
)
def test_every_byte_of_every_op_is_that_of_the_loops(network: Network, weights_zero: int, harsh: float) -> None:
    for seed in range(3):
        model = draw_integers(network, seed, weights_zero, harsh)
        image = np.random.default_rng(seed).integers(0, 256, (32, 34, network.channels), np.uint8)
        expected = naive(model, image)
        found = dict(reference.steps(model, image[None]))
        assert list(found)[1:] == list(expected)
        for name, integers in expected.items():
            assert found[name].ravel().tolist() == integers, name
        assert reference.run(model, image[None]).ravel().tolist() == expected["fc"]


def test_halves_go_to_the_even_neighbour() -> None:
    sums = np.array([-5, -3, -1, 0, 1, 3, 5], np.int32)
    target = QuantParams(1.0, 3)
    given = requantise(sums, np.float32(0.5), target, -128, 127)
    assert given.tolist() == [3 - 2, 3 - 2, 3, 3, 3, 3 + 2, 3 + 2]


def test_what_is_outside_saturates() -> None:
    sums = np.array([-(2**31) + 1, 2**31 - 1], np.int32)
    assert requantise(sums, np.float32(255), QuantParams(1.0, 0), -128, 127).tolist() == [-128, 127]
    assert requantise(sums, np.float32(1), QuantParams(1.0, -7), -7, 100).tolist() == [-7, 100]


def test_sums_above_2_to_the_24_are_rounded_to_float32_before_the_product() -> None:
    sums = np.array([2**24 + 1], np.int32)
    factor = np.float32(1 / 2**18)
    assert requantise(sums, factor, QuantParams(1.0, 0), -128, 127)[0] == round(float(np.float32(2**24 + 1) * factor))


def test_relu6_ends_where_six_is() -> None:
    relu, relu6 = (Op(kind, "act", (0,), (1, 1, 1), (1, 1, 1)) for kind in ("relu", "relu6"))
    assert limits(QuantParams(6 / 255, -128), relu6) == (-128, 127)
    assert limits(QuantParams(0.1, -100), relu6) == (-100, -40)
    assert limits(QuantParams(0.1, -100), relu) == (-100, 127)
    assert limits(QuantParams(0.1, 5), None) == (-128, 127)


def test_a_pool_of_equal_scales_is_the_mean() -> None:
    assert pool_multiplier(49, QuantParams(0.3, 4), QuantParams(0.3, 4)) == np.float32(1 / 49)


def test_many_images_are_run_as_one_is() -> None:
    model = draw_integers(TINY.replace(width=32))
    images = np.random.default_rng(0).integers(0, 256, (reference.BATCH + 3, 32, 32, 3), np.uint8)
    alone = [reference.run(model, images[i : i + 1])[0] for i in range(len(images))]
    assert (reference.run(model, images) == alone).all()
    assert reference.run(model, images[:0]).shape == (0, 3)


def test_images_of_another_shape_are_refused() -> None:
    model = draw_integers(TINY)
    with pytest.raises(UsageError, match=r"float32 \(1, 32, 34, 3\), must be uint8 \(N, 32, 34, 3\)"):
        reference.run(model, np.zeros((1, 32, 34, 3), np.float32))
    with pytest.raises(UsageError, match="must be uint8"):
        reference.run(model, np.zeros((1, 34, 32, 3), np.uint8))


def test_outputs_are_those_of_the_real_logits() -> None:
    model = draw_integers(TINY)
    logits = np.array([[-128, 0, 127]], np.int8)
    real = [model.activations["fc"].scale * (q - model.activations["fc"].zero_point) for q in (-128, 0, 127)]
    total, length = sum(math.exp(r) for r in real), math.hypot(*real)
    expected = {
        "softmax": [math.exp(r) / total for r in real],
        "sigmoid": [1 / (1 + math.exp(-r)) for r in real],
        "l2_normalise": [r / length for r in real],
    }
    for output, values in expected.items():
        found = reference.outputs(replace(model, network=TINY.replace(output=output)), logits)
        assert found[0] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize(
    ("output", "one", "other", "expected"),
    [
        ("softmax", [[0.4, 0.35, 0.25], [0.2, 0.5, 0.3]], [[0.6, 0.2, 0.2], [0.2, 0.3, 0.5]], 1 / 2),
        ("sigmoid", [[0.9, 0.8, 0.1], [0.6, 0.4, 0.51]], [[0.7, 0.95, 0.2], [0.4, 0.45, 0.49]], 4 / 6),
        ("l2_normalise", [[1, 0, 0], [0, 0.6, 0.8]], [[0.6, 0.8, 0], [0, 0.6, 0.8]], (0.6 + 1) / 2),
        ("l2_normalise", [[1, 0, 0]], [[-1, 0, 0]], -1),
    ],
)
def test_agreement_is_that_of_what_the_outputs_say(
    output: str, one: list[list[float]], other: list[list[float]], expected: float
) -> None:
    """The likeliest class; each attribute's yes or no; the cosine."""
    found = reference.agreement(output, np.array(one, np.float32), np.array(other, np.float32))
    assert found == pytest.approx(expected)


def test_a_body_without_a_classifier_gives_its_maps() -> None:
    model = draw_integers(TINY.replace(output="features"))
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 34, 3), np.uint8)
    assert (reference.run(model, images) == dict(reference.steps(model, images))["pw2"]).all()


def test_multipliers_are_rounded_after_each_operation() -> None:
    layer = replace(draw_integers(TINY).layers["fc"], scale=np.full(3, 0.1, np.float32))
    expected = np.float32(np.float32(0.3) * np.float32(0.1)) / np.float32(0.7)
    assert multipliers(layer, QuantParams(0.3, 0), QuantParams(0.7, 0)).tolist() == [expected] * 3
